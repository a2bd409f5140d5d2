/** Samples with all their labels, checked against the table of metrics. */
import {
  type ActorKind,
  commonLabels,
  type GroupId,
  isMetricName,
  type MetricName,
  type MetricSample,
  metrics,
  type PeerId,
  type ProcessSamples,
} from '@conclave/protocol';

export interface LabelledSample extends MetricSample {
  readonly name: MetricName;
}

/** The actor that the samples belong to. */
export interface ActorPlace {
  readonly groupId: GroupId;
  readonly peerId: PeerId;
  readonly actor: ActorKind;
}

export function ofActor({ groupId, peerId, actor }: ActorPlace, samples: readonly MetricSample[]): LabelledSample[] {
  return labelled(samples, { group: groupId, peer: peerId, actor });
}

export function ofProcess(peerId: PeerId, { process, samples }: ProcessSamples): LabelledSample[] {
  return labelled(samples, { peer: peerId, process });
}

/** Leaves out what this build does not know: a newer peer may report it. */
function labelled(samples: readonly MetricSample[], common: Readonly<Record<string, string>>): LabelledSample[] {
  return samples.flatMap((sample) => {
    const { name } = sample;
    if (!isMetricName(name)) return [];
    const whole = { ...sample, name, labels: { ...common, ...sample.labels } };
    return isSound(whole) ? [whole] : [];
  });
}

function isSound({ name, labels, value, buckets }: LabelledSample): boolean {
  const { source, type, labels: own } = metrics[name];
  const wanted: readonly string[] = [...commonLabels[source], ...own];
  const hasLabels =
    wanted.length === Object.keys(labels).length && wanted.every((label) => Object.hasOwn(labels, label));
  if (type !== 'histogram') return hasLabels && value !== undefined;
  return hasLabels && buckets !== undefined && buckets.counts.length === buckets.bounds.length + 1;
}
