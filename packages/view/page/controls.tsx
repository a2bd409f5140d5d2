/** The controls of a recording or a simulation, drawn from the description that its source gives. */
import { useEffect, useState } from 'preact/hooks';
import type { ControlCommand, ControlParameter, ControlState, ControlValue } from '../src/source/view-source.js';
import { control, timeText } from './connection.js';
import { controls } from './store.js';
import { isTyping } from './typing.js';

export function Controls() {
  const current = controls.value;
  useEffect(() => shortcuts(), []);
  if (current === undefined) return null;
  const commands = current.commands.filter(({ name }) => name !== 'seek');
  const headings = [...new Set(commands.map(({ heading }) => heading))];
  return (
    <section class="controls card" aria-label="Controls">
      <Position current={current} />
      {headings.map((heading) => (
        <fieldset key={heading}>
          <legend>{heading}</legend>
          {commands
            .filter((command) => command.heading === heading)
            .map((command) => (
              <Command key={command.name} command={command} />
            ))}
        </fieldset>
      ))}
      {current.outcome !== undefined && (
        <p role="status" class={current.outcome.ok ? 'outcome good' : 'outcome bad'}>
          {current.outcome.text}
        </p>
      )}
      {current.explanation !== undefined && (
        <article class="explanation">
          <h2>{current.explanation.title}</h2>
          {current.explanation.paragraphs.map((paragraph) => (
            <p key={paragraph}>{paragraph}</p>
          ))}
        </article>
      )}
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
    void control(command.name, initialOf(command));
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

function initialOf({ parameters }: ControlCommand): Record<string, ControlValue> {
  return Object.fromEntries(parameters.map((parameter) => [parameter.name, initialValue(parameter)]));
}

function initialValue({ type, initial, choices, min }: ControlParameter): ControlValue {
  if (initial !== undefined) return initial;
  if (type === 'number') return min ?? 0;
  if (type === 'switch') return false;
  return type === 'set' ? [] : (choices?.[0]?.value ?? '');
}

function Command({ command }: { command: ControlCommand }) {
  const [given, setGiven] = useState<Record<string, ControlValue>>({});
  const values = { ...initialOf(command), ...given };
  const { name, label, help, disabled, parameters, key } = command;
  return (
    <form
      class="command"
      onSubmit={(event) => {
        event.preventDefault();
        void control(name, values);
      }}
    >
      {parameters.map((parameter) => (
        <Parameter
          key={parameter.name}
          parameter={parameter}
          value={values[parameter.name] ?? ''}
          change={(value) => setGiven({ ...given, [parameter.name]: value })}
        />
      ))}
      <button
        type="submit"
        disabled={disabled !== undefined}
        title={disabled ?? (key === undefined ? help : `${help} Key: ${key === ' ' ? 'space' : key}`)}
      >
        {label}
      </button>
    </form>
  );
}

interface ParameterProps {
  readonly parameter: ControlParameter;
  readonly value: ControlValue;
  readonly change: (value: ControlValue) => void;
}

function Parameter({ parameter, value, change }: ParameterProps) {
  const { type, label, choices = [], min, max, step } = parameter;
  if (type === 'set') {
    const chosen = Array.isArray(value) ? (value as readonly string[]) : [];
    return (
      <fieldset class="toggles">
        <legend>{label}</legend>
        {choices.map((choice) => (
          <button
            type="button"
            key={choice.value}
            aria-pressed={chosen.includes(choice.value)}
            onClick={() =>
              change(
                chosen.includes(choice.value)
                  ? chosen.filter((one) => one !== choice.value)
                  : [...chosen, choice.value],
              )
            }
          >
            {choice.label}
          </button>
        ))}
      </fieldset>
    );
  }
  return (
    // biome-ignore lint/a11y/noLabelWithoutControl: each of the branches is one
    <label>
      {label}{' '}
      {type === 'choice' ? (
        <select value={String(value)} onChange={(event) => change(event.currentTarget.value)}>
          {choices.map((choice) => (
            <option key={choice.value} value={choice.value}>
              {choice.label}
            </option>
          ))}
        </select>
      ) : type === 'switch' ? (
        <input type="checkbox" checked={value === true} onChange={(event) => change(event.currentTarget.checked)} />
      ) : type === 'number' ? (
        <input
          type="number"
          value={String(value)}
          min={min}
          max={max}
          step={step ?? 'any'}
          onInput={(event) => change(Number(event.currentTarget.value))}
        />
      ) : (
        <input value={String(value)} onInput={(event) => change(event.currentTarget.value)} />
      )}
    </label>
  );
}
