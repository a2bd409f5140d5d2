/**
 * Takes profiles of this process, and keeps the last one until it has been read, at most for a minute.
 *
 * Invariants:
 * 1. One profile is taken at a time.
 * 2. Time and size are bounded. A longer profile takes fewer samples a second, so that its size does not grow: making the file
 *    stops the process for a moment.
 *
 * No heap snapshots: these stop a process for seconds, take as much memory again, and contain the keys and values.
 */
import { Session } from 'node:inspector';
import { generateId } from '@conclave/actor';
import { ConclaveError, limits, type ProfileKind } from '@conclave/protocol';

/** The file of a profile, as the developer tools of Chromium open it. */
export interface Profile {
  readonly id: string;
  readonly data: Uint8Array;
}

const samples = 10_000;
const minSampleUs = 1000;
/** About one allocation is recorded in this many bytes. */
const bytesPerSample = 64 * 1024;
const keptMs = 60_000;

export class Profiler {
  private session: Session | undefined;
  private last: Profile | undefined;
  private timer: NodeJS.Timeout | undefined;
  private wake: () => void = () => undefined;

  /**
   * Takes a profile.
   * @throws ConclaveError EBUSY if one is being taken; EINVAL if it is too large
   */
  async take(kind: ProfileKind, seconds: number): Promise<Profile> {
    if (this.session !== undefined) throw new ConclaveError('EBUSY', 'a profile of this process is being taken');
    const session = new Session();
    this.session = session;
    this.drop();
    session.connect();
    try {
      const profile = await (kind === 'cpu' ? this.cpu(session, seconds) : this.heap(session, seconds));
      const data = Buffer.from(JSON.stringify(profile));
      if (data.length > limits.profileBytes) {
        throw new ConclaveError('EINVAL', `the profile has ${data.length} bytes, more than ${limits.profileBytes}`);
      }
      this.last = { id: generateId(), data };
      this.timer = setTimeout(() => this.drop(), keptMs).unref();
      return this.last;
    } finally {
      session.disconnect();
      this.session = undefined;
    }
  }

  /** @throws ConclaveError ENOENT if the last profile has another id, or has been dropped, or has no such chunk */
  chunk(id: string, number: number): Uint8Array {
    const from = number * limits.profileChunkBytes;
    const { last } = this;
    if (last?.id !== id || from >= last.data.length) {
      throw new ConclaveError('ENOENT', 'this process has no such profile any more: take another one');
    }
    return last.data.subarray(from, from + limits.profileChunkBytes);
  }

  /** Ends a profile that is being taken, and drops the last one. */
  stop(): void {
    this.drop();
    this.wake();
  }

  private drop(): void {
    clearTimeout(this.timer);
    this.last = undefined;
  }

  private async cpu(session: Session, seconds: number): Promise<unknown> {
    await post(session, 'Profiler.enable');
    const interval = Math.max(minSampleUs, Math.ceil((seconds * 1e6) / samples));
    await post(session, 'Profiler.setSamplingInterval', { interval });
    await post(session, 'Profiler.start');
    await this.wait(seconds);
    return (await post(session, 'Profiler.stop')).profile;
  }

  private async heap(session: Session, seconds: number): Promise<unknown> {
    await post(session, 'HeapProfiler.enable');
    await post(session, 'HeapProfiler.startSampling', { samplingInterval: bytesPerSample });
    await this.wait(seconds);
    return (await post(session, 'HeapProfiler.stopSampling')).profile;
  }

  private wait(seconds: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, seconds * 1000);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

function post(session: Session, method: string, parameters: object = {}): Promise<{ readonly profile?: unknown }> {
  return new Promise((resolve, reject) => {
    session.post(method, parameters, (error, result) => {
      if (error === null) resolve(result as { readonly profile?: unknown });
      else reject(error);
    });
  });
}
