/** `conclave txn`: a transaction, as JSON with the fields of `kv.txn`. */
import { formatIssues, kvOperations } from '@conclave/protocol';
import type { Command } from 'commander';
import { withClient } from '../connection.js';
import { Failed, UsageError } from '../exit-codes.js';
import { type CommonOptions, withCommonOptions } from '../options.js';
import { runAction } from '../run-action.js';
import { readStandardInput } from '../standard-input.js';

export function registerTxn(program: Command): void {
  withCommonOptions(
    program
      .command('txn')
      .argument(
        '<json>',
        '`{"compare": [["key", "revision", "=", 7]], "then": [["put", "key", "value"]], "else": [["get", "key"]]}`; `-`: read it from standard input',
      )
      .description('execute `then` if all comparisons hold, otherwise `else`; exit code 1 if they do not'),
  ).action((json: string, options: CommonOptions) =>
    runAction(options, async (output) => {
      const request = parse(json === '-' ? (await readStandardInput()).toString() : json);
      const { compare, then, else: otherwise = [] } = request;
      await withClient(options, async (client) => {
        const reply = await client.kv.txn(compare, then, otherwise);
        if (output.json) output.record(reply);
        else {
          output.line(`${reply.succeeded ? 'done' : 'the comparisons do not hold'}, revision ${reply.revision}`);
          for (const result of reply.results) output.line(`  ${JSON.stringify(result)}`);
        }
        if (!reply.succeeded) throw new Failed();
      });
    }),
  );
}

function parse(text: string): ReturnType<typeof kvOperations.txn.request.parse> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new UsageError(`the transaction is not JSON: ${(error as Error).message}`);
  }
  const parsed = kvOperations.txn.request.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new UsageError(`the transaction is not valid: ${formatIssues(parsed.error.issues, 'all of it')}`);
}
