/** The explanation of a source, such as a prepared question: its answer, and its steps with what is expected of them. */
import { useEffect, useRef } from 'preact/hooks';
import type { ControlState, ExplainedStep } from '../src/source/view-source.js';

type Explained = NonNullable<ControlState['explanation']>;

export function Explanation({ explanation: { title, paragraphs, steps = [] } }: { explanation: Explained }) {
  return (
    <article class="explanation" aria-label="Explanation">
      <h2>{title}</h2>
      {paragraphs.map((paragraph) => (
        <p key={paragraph}>{paragraph}</p>
      ))}
      {steps.length > 0 && (
        <ol class="question-steps">
          {steps.map((step) => (
            <Step key={step.text} step={step} />
          ))}
        </ol>
      )}
    </article>
  );
}

const stateWords = { next: '', current: 'now', done: 'done', failed: 'failed' } as const;

function Step({ step: { text, state, outcomes, error } }: { step: ExplainedStep }) {
  const item = useRef<HTMLLIElement>(null);
  useEffect(() => {
    const panel = item.current?.closest('.controls');
    // Only within the panel: the page itself stays where it is.
    if (state === 'next' || state === 'done' || item.current === null || !(panel instanceof HTMLElement)) return;
    if (panel.scrollHeight > panel.clientHeight) panel.scrollTop = item.current.offsetTop - panel.clientHeight / 2;
  }, [state]);
  return (
    <li ref={item} class={`step ${state}`} aria-current={state === 'current' ? 'step' : undefined}>
      <p>
        {text} {stateWords[state] !== '' && <span class={`badge ${state}`}>{stateWords[state]}</span>}
      </p>
      {state !== 'next' && (
        <ul class="outcomes">
          {outcomes.map((outcome) => (
            <ExpectedOutcome key={outcome.text} outcome={outcome} />
          ))}
        </ul>
      )}
      {error !== '' && <p class="outcome bad">{error}</p>}
    </li>
  );
}

function ExpectedOutcome({ outcome: { text, holds, seen } }: { outcome: ExplainedStep['outcomes'][number] }) {
  const [mark, word, tone] =
    holds === null ? ['○', 'expected', 'open'] : holds ? ['✓', 'holds', 'good'] : ['✗', 'does not hold', 'bad'];
  return (
    <li class={tone}>
      <span class="mark" role="img" aria-label={word}>
        {mark}
      </span>
      <span>
        {text}
        {seen !== '' && <code>{seen}</code>}
      </span>
    </li>
  );
}
