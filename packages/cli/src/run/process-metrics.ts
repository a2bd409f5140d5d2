/** The metrics that a process has once, however many actors and groups it hosts. */
import {
  type Connection,
  EventLoopDelay,
  type MessageCounts,
  type NatsTransport,
  newIncarnation,
  type PeerTransport,
} from '@conclave/actor';
import { bucketsOf, type MetricSample, type ProcessSamples, sampleOf } from '@conclave/protocol';
import type { ActorFactory } from './actor-factory.js';
import type { HostedOptions } from './run-options.js';

export interface MeasuredProcess {
  readonly options: Pick<HostedOptions, 'actors'>;
  readonly version: string;
  readonly connections: { readonly actors: Connection; readonly requests: Connection };
  readonly transport: Pick<PeerTransport, 'dropped'>;
  readonly nats: Pick<NatsTransport, 'publishedBytes' | 'receivedBytes' | 'bundleBytes'>;
  readonly factory: Pick<ActorFactory, 'samples'>;
}

export class ProcessMetrics {
  private readonly id = newIncarnation();
  private readonly eventLoop = new EventLoopDelay();

  constructor(private readonly measured: MeasuredProcess) {}

  stop(): void {
    this.eventLoop.stop();
  }

  collect(): ProcessSamples {
    const { options, factory } = this.measured;
    const samples = [
      ...this.runtimeSamples(),
      bucketsOf('conclave_event_loop_delay_seconds', this.eventLoop.histogram.buckets, {}),
      ...this.droppedSamples(),
      ...this.messageSamples(),
      ...this.connectionSamples(),
      ...factory.samples(),
    ];
    return { id: this.id, process: options.actors.join('+'), samples };
  }

  private runtimeSamples(): MetricSample[] {
    const { user, system } = process.cpuUsage();
    const { rss, heapUsed } = process.memoryUsage();
    const startedAt = Math.round(Date.now() / 1000 - process.uptime());
    return [
      sampleOf('conclave_build_info', 1, { version: this.measured.version, node: process.version }),
      sampleOf('conclave_process_start_time_seconds', startedAt, {}),
      sampleOf('conclave_process_cpu_seconds_total', user / 1e6, { mode: 'user' }),
      sampleOf('conclave_process_cpu_seconds_total', system / 1e6, { mode: 'system' }),
      sampleOf('conclave_process_resident_memory_bytes', rss, {}),
      sampleOf('conclave_process_heap_bytes', heapUsed, {}),
    ];
  }

  private droppedSamples(): MetricSample[] {
    const { connections, transport } = this.measured;
    const total = new Map<string, number>();
    for (const { dropped } of [connections.actors, connections.requests, transport]) {
      for (const [reason, count] of Object.entries(dropped)) total.set(reason, (total.get(reason) ?? 0) + count);
    }
    return [...total].map(([reason, count]) => sampleOf('conclave_process_dropped_total', count, { reason }));
  }

  private messageSamples(): MetricSample[] {
    const { publishedBytes, receivedBytes, bundleBytes } = this.measured.nats;
    const amounts = (counts: MessageCounts, bundles: number): (readonly [string, number])[] => [
      ...counts.entries(),
      ...(bundles > 0 ? [['bundle', bundles] as const] : []),
    ];
    return [
      ...amounts(publishedBytes, bundleBytes.published).map(([message, bytes]) =>
        sampleOf('conclave_published_bytes_total', bytes, { message }),
      ),
      ...amounts(receivedBytes, bundleBytes.received).map(([message, bytes]) =>
        sampleOf('conclave_received_bytes_total', bytes, { message }),
      ),
    ];
  }

  private connectionSamples(): MetricSample[] {
    return Object.entries(this.measured.connections).flatMap(([connection, { traffic }]) => [
      sampleOf('conclave_nats_connected', traffic.isConnected ? 1 : 0, { connection }),
      sampleOf('conclave_nats_reconnects_total', traffic.reconnects, { connection }),
      sampleOf('conclave_nats_transferred_bytes_total', traffic.inBytes, { connection, direction: 'in' }),
      sampleOf('conclave_nats_transferred_bytes_total', traffic.outBytes, { connection, direction: 'out' }),
    ]);
  }
}
