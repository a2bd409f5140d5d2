/** The alert rules, their tests, the dashboard and the documents name the same metrics and alerts. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { metrics } from '@conclave/protocol';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { root } from './source-file.js';

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string };
}

interface Panel {
  readonly type: string;
  readonly title: string;
  readonly targets?: readonly { readonly expr: string }[];
}

const read = (file: string) => readFileSync(path.join(root, file), 'utf8');
const alerts = parse(read('deploy/monitoring/alerts.yml')) as { groups: { rules: Rule[] }[] };
const rules = alerts.groups.flatMap((group) => group.rules);
const dashboard = JSON.parse(read('deploy/monitoring/grafana/dashboard.json')) as { panels: Panel[] };
const panels = dashboard.panels.filter(({ type }) => type !== 'row');

/** The metrics of an expression that are not in the table. */
function unknownIn(expression: string): string[] {
  const names = expression.match(/\bconclave_[a-z_]+/g) ?? [];
  expect(names, expression).not.toEqual([]);
  return names.filter((name) => {
    const base = name.replace(/_(bucket|sum|count)$/, '');
    const known = Object.entries(metrics).find(([one]) => one === name || one === base);
    return known === undefined || (known[0] !== name && known[1].type !== 'histogram');
  });
}

describe('the alert rules', () => {
  it('name only metrics of the table', () => {
    const expressions = rules.filter(({ alert }) => alert !== 'ConclaveMetricsMissing').map(({ expr }) => expr);
    expect(expressions.flatMap(unknownIn)).toEqual([]);
  });

  it('have a severity and a summary', () => {
    for (const { alert, labels, annotations } of rules) {
      expect(['critical', 'warning'], alert).toContain(labels.severity);
      expect(annotations.summary, alert).not.toBe('');
    }
  });

  it('are each tested: once while firing', () => {
    const folder = path.join(root, 'deploy/monitoring');
    const tests = readdirSync(folder).filter((file) => file.endsWith('-test.yml'));
    const text = tests.map((file) => readFileSync(path.join(folder, file), 'utf8')).join('');
    const untested = rules.filter(
      ({ alert }) => !text.includes(`labels: ALERTS{alertname="${alert}",alertstate="firing"`),
    );
    expect(untested.map(({ alert }) => alert)).toEqual([]);
  });

  it('are each described in docs/monitoring.md, and no others', () => {
    const described = [...read('docs/monitoring.md').matchAll(/^\| `(Conclave[A-Za-z]+)` \|/gm)].map(
      ([, name]) => name,
    );
    expect(described.toSorted()).toEqual(rules.map(({ alert }) => alert).toSorted());
  });
});

describe('the dashboard', () => {
  it('names only metrics of the table, and each panel has a title', () => {
    const expressions = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
    expect(expressions.flatMap(unknownIn)).toEqual([]);
    expect(panels.filter(({ title, targets = [] }) => title === '' || targets.length === 0)).toEqual([]);
  });
});
