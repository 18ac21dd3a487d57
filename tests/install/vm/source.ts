// The repository that a user clones: this checkout as it stands, as a bare repository with a release's tag, to which
// newer commits can be added.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const repo = resolve(import.meta.dirname, '../../..');
export const FIRST = 'v0.1.0';

export class Source {
  readonly bare: string;
  readonly #folder: string;
  readonly #work: string;

  constructor() {
    this.#folder = mkdtempSync(join(tmpdir(), 'octopus-source-'));
    this.bare = join(this.#folder, 'octopus-flasher.git');
    this.#work = join(this.#folder, 'work');
    execFileSync('git', ['init', '--quiet', '--bare', '--initial-branch=main', this.bare]);
    // A hard recovery clones without old files' content; those who host repositories allow that.
    execFileSync('git', ['-C', this.bare, 'config', 'uploadpack.allowFilter', 'true']);
    // What is not committed yet is part of what is tested; what is ignored is not.
    const git = ['--git-dir', this.bare, '--work-tree', repo];
    execFileSync('git', [...git, 'add', '--all', '.'], { cwd: repo });
    execFileSync('git', [...git, ...WHO, 'commit', '--quiet', '-m', 'The first release']);
    execFileSync('git', [...git, ...WHO, 'tag', '-a', FIRST, '-m', FIRST]);
    execFileSync('git', ['clone', '--quiet', this.bare, this.#work]);
  }

  /** Files changed, committed and pushed as a release with this tag. */
  release(tag: string, changes: Readonly<Record<string, (text: string) => string>>): void {
    for (const [path, change] of Object.entries(changes)) {
      const file = join(this.#work, path);
      writeFileSync(file, change(readFileSync(file, 'utf8')));
    }
    const git = ['-C', this.#work, ...WHO];
    execFileSync('git', [...git, 'commit', '--quiet', '--all', '-m', `Release ${tag}`]);
    execFileSync('git', [...git, 'tag', '-a', tag, '-m', tag]);
    execFileSync('git', [...git, 'push', '--quiet', '--follow-tags', 'origin', 'main']);
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

const WHO = ['-c', 'user.name=Somebody', '-c', 'user.email=somebody@localhost', '-c', 'commit.gpgsign=false'];
