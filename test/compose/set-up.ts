/** What all compose tests share: the engine, the base images, and the image of this source, built once. */
import { randomBytes } from 'node:crypto';
import type { TestProject } from 'vitest/node';
import { buildImage, ComposeProject, fetchBaseImages, startEngine, stopEngine } from './docker.js';

declare module 'vitest' {
  export interface ProvidedContext {
    /** The image of this source. */
    readonly image: string;
  }
}

export default async function prepare({ provide }: TestProject): Promise<() => Promise<void>> {
  const startedEngine = await startEngine();
  const stop = async (): Promise<void> => {
    if (startedEngine) await stopEngine();
  };
  try {
    await fetchBaseImages(['node:24-bookworm-slim', 'nats:2.15-alpine']);
    const name = `conclave-test-${randomBytes(4).toString('hex')}:test`;
    const project = await ComposeProject.make('conclave-test', { CONCLAVE_IMAGE: name });
    const image = await buildImage(name, () => project.compose('build', 'credentials'));
    provide('image', image.name);
    return () => image.remove().finally(stop);
  } catch (error) {
    await stop();
    throw error;
  }
}
