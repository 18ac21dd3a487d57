// Folders as the kernel shows them, in a temporary place: values are files, and `-> x` is a link.
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const made: string[] = [];

export function fakeTree(files: Readonly<Record<string, string>>): string {
  const root = mkdtempSync(join(tmpdir(), 'octopus-tree-'));
  made.push(root);
  plant(root, files);
  return root;
}

export function plant(root: string, files: Readonly<Record<string, string>>): void {
  for (const [path, content] of Object.entries(files)) {
    const at = join(root, path);
    mkdirSync(dirname(at), { recursive: true });
    if (content.startsWith('-> ')) symlinkSync(content.slice(3), at);
    else writeFileSync(at, content);
  }
}

export function cutTrees(): void {
  for (const root of made.splice(0)) rmSync(root, { recursive: true, force: true });
}
