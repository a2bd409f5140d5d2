/**
 * The errors of Node.js's file functions, for people: "ENOENT: no such file or directory, open '/a'" would look like a code of
 * Conclave's.
 */

const systemError = /^[A-Z0-9]+: (.+?), [a-z_]+(?: '.*)?$/s;

/** Returns why a file function failed, without the file: "no such file or directory". Of another error, returns the message. */
export function systemErrorReason(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return systemError.exec(message)?.[1] ?? message;
}

/** Returns what a file function failed with, and why: "/a: no such file or directory". Of another error, returns the message. */
export function systemErrorText(error: unknown): string {
  const reason = systemErrorReason(error);
  const { path, dest } = (error instanceof Error ? error : {}) as { readonly path?: string; readonly dest?: string };
  if (path === undefined || reason === (error as Error).message) return reason;
  return `${path}${dest === undefined ? '' : ` to ${dest}`}: ${reason}`;
}
