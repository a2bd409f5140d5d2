/** Admin commands, each after its confirmation; and the commands of a simulation that act on one peer. */
import { signal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import type { PeerState } from '../src/model/index.js';
import type { ControlCommand } from '../src/source/view-source.js';
import { control, post } from './connection.js';
import { abilities, controls, problem, state } from './store.js';

interface Action {
  readonly command: string;
  readonly peer: string;
  readonly request: Readonly<Record<string, unknown>>;
}

interface Prepared {
  readonly token: string;
  readonly action: Action;
  readonly text: string;
}

const waiting = signal<Prepared | undefined>(undefined);
const running = signal(false);

/** Asks the server for the confirmation of an action, which the dialog shows. */
export async function ask(action: Action): Promise<void> {
  try {
    waiting.value = await post<Prepared>('api/admin/prepare', action);
  } catch (error) {
    problem.value = (error as Error).message;
  }
}

async function confirm({ token, action }: Prepared): Promise<void> {
  running.value = true;
  try {
    await post('api/admin/confirm', { token, action });
    problem.value = '';
  } catch (error) {
    problem.value = (error as Error).message;
  }
  running.value = false;
  waiting.value = undefined;
}

/** The dialog of the action that waits for its confirmation. */
export function Confirmation() {
  const dialog = useRef<HTMLDialogElement>(null);
  const prepared = waiting.value;
  useEffect(() => {
    if (prepared === undefined) dialog.current?.close();
    else dialog.current?.showModal();
  }, [prepared]);
  return (
    <dialog
      ref={dialog}
      aria-labelledby="confirm-title"
      onClose={() => {
        waiting.value = undefined;
      }}
    >
      <h2 id="confirm-title">Confirm</h2>
      <p>{prepared?.text}</p>
      <p class="footnote">Group {state.value.current.group}. This is a command to the real group.</p>
      <div class="bar end">
        <button
          type="button"
          onClick={() => {
            waiting.value = undefined;
          }}
        >
          Do nothing
        </button>
        <button
          type="button"
          class="primary"
          disabled={running.value}
          onClick={() => {
            if (prepared !== undefined) void confirm(prepared);
          }}
        >
          {running.value ? 'Running…' : 'Do it'}
        </button>
      </div>
    </dialog>
  );
}

export function PeerActions({ peer }: { peer: PeerState }) {
  // A peer is changed in place: this makes the component follow the state.
  state.value;
  const { name, role, membership, readOnly } = peer;
  const isOffered = ({ onPeer, peers }: ControlCommand) => onPeer === true && peers?.includes(name) !== false;
  const own = controls.value?.commands.filter(isOffered) ?? [];
  return (
    <span class="actions">
      {abilities.value.admin && (
        <>
          {role !== 'leader' && membership !== 'outside' && (
            <button
              type="button"
              onClick={() => void ask({ command: 'transfer_leader', peer: '', request: { peer_id: name } })}
            >
              Make leader…
            </button>
          )}
          <button type="button" onClick={() => void ask({ command: 'snapshot', peer: name, request: {} })}>
            Snapshot…
          </button>
          <button
            type="button"
            onClick={() => void ask({ command: 'read_only', peer: name, request: { read_only: readOnly === '' } })}
          >
            {readOnly === '' ? 'Read-only…' : 'Writable…'}
          </button>
        </>
      )}
      {own.map(({ name: command, label, help, disabled }) => (
        <button
          type="button"
          key={command}
          title={disabled ?? help}
          disabled={disabled !== undefined}
          onClick={() => void control(command, { peer: name })}
        >
          {label}
        </button>
      ))}
    </span>
  );
}

/** Cancels the change in progress. */
export function CancelChange() {
  if (!abilities.value.admin || state.value.current.change?.outcome !== 'going_on') return null;
  return (
    <button type="button" onClick={() => void ask({ command: 'cancel_change', peer: '', request: {} })}>
      Cancel the change…
    </button>
  );
}
