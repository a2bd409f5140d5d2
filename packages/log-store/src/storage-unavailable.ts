/** Failures of the storage that may end by themselves, or when an operator removes the cause: the data are not damaged. */

/** The storage cannot be used now. */
export class StorageUnavailable extends Error {
  override readonly name = 'StorageUnavailable';

  constructor(error: NodeJS.ErrnoException) {
    super(problemOf(error), { cause: error });
  }
}

/** What LevelDB calls these failures. It reports neither their codes nor their paths, except in its text. */
const codes: Readonly<Record<string, string>> = {
  'Permission denied': 'EACCES',
  'Operation not permitted': 'EPERM',
  'Read-only file system': 'EROFS',
  'No space left on device': 'ENOSPC',
  'Disk quota exceeded': 'EDQUOT',
  'Too many open files': 'EMFILE',
  'Too many open files in system': 'ENFILE',
  'Input/output error': 'EIO',
};

/** @returns the error as one of an unavailable storage; undefined: it is another error */
export function unavailableBy(error: unknown): StorageUnavailable | undefined {
  if (error instanceof StorageUnavailable) return error;
  if (!(error instanceof Error)) return undefined;
  const [, path, text = ''] = /^IO error: (.*): (.*)$/s.exec(error.message) ?? [];
  const { code } = error as NodeJS.ErrnoException;
  if (code !== undefined && Object.values(codes).includes(code)) return new StorageUnavailable(error);
  const named = codes[text];
  if (path === undefined || named === undefined) return undefined;
  const message = `${named}: ${text.charAt(0).toLowerCase()}${text.slice(1)}: ${path}`;
  return new StorageUnavailable(Object.assign(new Error(message, { cause: error }), { code: named, path }));
}

/** @returns a message with what an operator can do */
export function problemOf(error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case 'EMFILE':
      return 'EMFILE: this process has no free file descriptors; raise its limit (ulimit -n)';
    case 'ENFILE':
      return 'ENFILE: this machine has no free file descriptors (fs.file-max)';
    case 'EROFS':
      return 'EROFS: the file system of the data folder is read-only; look why (dmesg), then mount it for writing again';
    case 'EACCES':
    case 'EPERM':
      return `${error.code}: this process may not use ${error.path ?? 'the data folder'}; correct its owner or permissions`;
    default:
      return error.message;
  }
}
