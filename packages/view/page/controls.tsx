/** The controls of a recording or a simulation, drawn from the description that its source gives. */
import { useEffect, useState } from 'preact/hooks';
import type { ControlCommand, ControlState, ControlValue } from '../src/source/view-source.js';
import { control, timeText } from './connection.js';
import { Explanation } from './explanation.js';
import { initialValue, Parameter } from './parameter.js';
import { controls } from './store.js';
import { isTyping } from './typing.js';

/** Before an explanation; the commands of all other headings come after it, and can be folded away. */
const firstHeadings = ['Playback', 'Questions'];

export function Controls() {
  const current = controls.value;
  useEffect(() => shortcuts(), []);
  if (current === undefined) return null;
  const { explanation, outcome } = current;
  const commands = current.commands.filter(({ name }) => name !== 'seek');
  const headings = [...new Set(commands.map(({ heading }) => heading))];
  const ofHeading = (name: string) => commands.filter(({ heading }) => heading === name);
  const isFirst = (name: string) => explanation === undefined || firstHeadings.includes(name);
  return (
    <section class="controls card" aria-label="Controls">
      <div class="controls-top">
        <Position current={current} />
        {headings.filter(isFirst).map((name) => (
          <Commands key={name} heading={name} commands={ofHeading(name)} />
        ))}
        <p role="status" class={outcome?.ok === false ? 'outcome bad' : 'outcome'}>
          {outcome?.text}
        </p>
      </div>
      {explanation !== undefined && <Explanation explanation={explanation} />}
      {headings
        .filter((name) => !isFirst(name))
        .map((name) => (
          <details key={name} class="more" open={explanation?.steps === undefined}>
            <summary>{name}</summary>
            <Commands heading={name} commands={ofHeading(name)} />
          </details>
        ))}
    </section>
  );
}

function shortcuts(): () => void {
  const onKey = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    const command = controls.value?.commands.find(({ key, disabled }) => key === event.key && disabled === undefined);
    // On a button, the space key presses the button.
    if (command === undefined || (event.key === ' ' && event.target instanceof HTMLButtonElement)) return;
    event.preventDefault();
    void control(command.name, initialOf([command]));
  };
  document.addEventListener('keydown', onKey);
  return () => document.removeEventListener('keydown', onKey);
}

function Position({ current }: { current: ControlState }) {
  const { at, from, to } = current.position;
  const canSeek = to !== undefined && current.commands.some(({ name }) => name === 'seek');
  return (
    <div class="position">
      <span class={`badge ${current.running ? 'going_on' : ''}`}>
        {current.running ? `running, ×${current.speed}` : 'stopped'}
      </span>
      <output>{timeText(at)}</output>
      {canSeek && (
        <input
          type="range"
          aria-label="Time"
          min={from}
          max={to}
          step="any"
          value={at}
          onChange={(event) => void control('seek', { at: Number(event.currentTarget.value) })}
        />
      )}
      {to !== undefined && <span class="end">{timeText(to)}</span>}
    </div>
  );
}

/** The commands of a heading: consecutive ones with the same parameters share the inputs. */
function Commands({ heading, commands }: { heading: string; commands: readonly ControlCommand[] }) {
  const groups: ControlCommand[][] = [];
  for (const command of commands) {
    const last = groups.at(-1);
    if (last?.[0] !== undefined && signature(last[0]) === signature(command)) last.push(command);
    else groups.push([command]);
  }
  return (
    <fieldset>
      <legend class="hidden">{heading}</legend>
      {groups.map((group) => (
        <CommandGroup key={group[0]?.name} group={group} />
      ))}
    </fieldset>
  );
}

function signature({ parameters, immediate }: ControlCommand): string {
  return `${immediate === true} ${parameters.map(({ name, type }) => `${name} ${type}`).join()}`;
}

function initialOf(commands: readonly ControlCommand[]): Record<string, ControlValue> {
  const parameters = commands.flatMap((command) => command.parameters);
  return Object.fromEntries(parameters.map((parameter) => [parameter.name, initialValue(parameter)]));
}

function CommandGroup({ group }: { group: readonly ControlCommand[] }) {
  const [given, setGiven] = useState<Record<string, ControlValue>>({});
  const [first] = group;
  if (first === undefined) return null;
  // What is chosen is the command: it shows what is in effect.
  const isImmediate = first.immediate === true;
  const values = { ...initialOf(group), ...(isImmediate ? {} : given) };
  const change = (name: string, value: ControlValue): void => {
    if (isImmediate) void control(first.name, { ...values, [name]: value });
    else setGiven({ ...given, [name]: value });
  };
  return (
    <form class="command" onSubmit={(event) => event.preventDefault()}>
      {first.parameters.map((parameter) => (
        <Parameter
          key={parameter.name}
          parameter={parameter}
          value={values[parameter.name] ?? ''}
          change={(value) => change(parameter.name, value)}
        />
      ))}
      {!isImmediate && group.map((command) => <CommandButton key={command.name} command={command} values={values} />)}
    </form>
  );
}

interface ButtonProps {
  readonly command: ControlCommand;
  readonly values: Record<string, ControlValue>;
}

function CommandButton({ command: { name, label, help, disabled, key }, values }: ButtonProps) {
  const title = disabled ?? (key === undefined ? help : `${help} Key: ${key === ' ' ? 'space' : key}`);
  return (
    <button
      type="submit"
      class={name === 'play' ? 'primary' : ''}
      disabled={disabled !== undefined}
      title={title}
      onClick={() => void control(name, values)}
    >
      {label}
      {key !== undefined && <kbd>{key === ' ' ? '␣' : key}</kbd>}
    </button>
  );
}
