// Renders docs/metrics.md from the table of metrics.

/**
 * @typedef {object} Protocol
 * @property {Record<string, { type: string, source: string, help: string, labels: readonly string[] }>} metrics
 * @property {Record<string, readonly string[]>} commonLabels
 */

/** @type {readonly (readonly [source: string, title: string])[]} */
const sections = [
  ['actor', 'Of every actor'],
  ['node', 'Of a node'],
  ['log-store', 'Of a log-store'],
  ['process', 'Of a process'],
  ['exporter', 'Of the exporter'],
];

/**
 * @param {Protocol} protocol
 * @returns {string} the document, in Markdown
 */
export function metricsDocument({ metrics, commonLabels }) {
  return `${[
    '# Metrics',
    'Generated from `packages/protocol/src/metrics.ts` by `npm run docs`; do not edit. How to collect them, and which matter: [monitoring.md](monitoring.md).',
    'A histogram has three series, with the endings “_bucket”, “_sum” and “_count”. Metrics of a leader are absent from other nodes.',
    ...sections.flatMap(([source, title]) => [
      `## ${title}`,
      labelsText(commonLabels[source] ?? []),
      [
        '| metric | type | labels | meaning |',
        '|---|---|---|---|',
        ...Object.entries(metrics)
          .filter(([, metric]) => metric.source === source)
          .map(([name, { type, labels, help }]) => {
            const own = labels.map((label) => `\`${label}\``).join(', ');
            return `| \`${name}\` | ${type} | ${own} | ${help.replaceAll('|', '\\|')} |`;
          }),
      ].join('\n'),
    ]),
  ].join('\n\n')}\n`;
}

/** @param {readonly string[]} labels */
function labelsText(labels) {
  if (labels.length === 0) return 'No common labels.';
  return `Labels of all: ${labels.map((label) => `\`${label}\``).join(', ')}.`;
}
