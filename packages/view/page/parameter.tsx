/** The input of a parameter of a control. */
import { useId } from 'preact/hooks';
import type { ControlParameter, ControlValue } from '../src/source/view-source.js';

export function initialValue({ type, initial, choices, min }: ControlParameter): ControlValue {
  if (initial !== undefined) return initial;
  if (type === 'number') return min ?? 0;
  if (type === 'switch') return false;
  return type === 'set' ? [] : (choices?.[0]?.value ?? '');
}

interface ParameterProps {
  readonly parameter: ControlParameter;
  readonly value: ControlValue;
  readonly change: (value: ControlValue) => void;
}

export function Parameter({ parameter, value, change }: ParameterProps) {
  const id = useId();
  return parameter.type === 'set' ? (
    <Toggles parameter={parameter} value={value} change={change} />
  ) : (
    <label htmlFor={id}>
      {parameter.label} <Input id={id} parameter={parameter} value={value} change={change} />
    </label>
  );
}

function Toggles({ parameter: { label, choices = [] }, value, change }: ParameterProps) {
  const chosen = Array.isArray(value) ? (value as readonly string[]) : [];
  const toggled = (one: string) => (chosen.includes(one) ? chosen.filter((other) => other !== one) : [...chosen, one]);
  return (
    <fieldset class="toggles">
      <legend>{label}</legend>
      {choices.map((choice) => (
        <button
          type="button"
          key={choice.value}
          aria-pressed={chosen.includes(choice.value)}
          onClick={() => change(toggled(choice.value))}
        >
          {choice.label}
        </button>
      ))}
    </fieldset>
  );
}

function Input({
  id,
  parameter: { type, choices = [], min, max, step },
  value,
  change,
}: ParameterProps & { id: string }) {
  switch (type) {
    case 'choice':
      return (
        <select id={id} value={String(value)} onChange={(event) => change(event.currentTarget.value)}>
          {choices.map((choice) => (
            <option key={choice.value} value={choice.value}>
              {choice.label}
            </option>
          ))}
        </select>
      );
    case 'switch':
      return (
        <input
          id={id}
          type="checkbox"
          checked={value === true}
          onChange={(event) => change(event.currentTarget.checked)}
        />
      );
    case 'number':
      return (
        <input
          id={id}
          type="number"
          value={String(value)}
          min={min}
          max={max}
          step={step ?? 'any'}
          onInput={(event) => change(Number(event.currentTarget.value))}
        />
      );
    default:
      return <input id={id} value={String(value)} onInput={(event) => change(event.currentTarget.value)} />;
  }
}
