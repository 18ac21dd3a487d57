// Runs in the guest: one flash through the daemon's socket, timed from the request to the job's end. This process's own
// start is not in it. Arguments: the socket, the parameters as JSON.
import { attachToDaemon } from '../../src/daemon/local-client.ts';

const [socket = '', params = '{}'] = process.argv.slice(2);
const daemon = await attachToDaemon(socket);
if (daemon === undefined) throw new Error(`no daemon at ${socket}`);
const ended = Promise.withResolvers<{ readonly at: number; readonly event: object }>();
daemon.onJobEvent((event) => {
  if (event.kind === 'ended') ended.resolve({ at: performance.now(), event });
});
const askedAt = performance.now();
await daemon.call('octopus.flash', JSON.parse(params));
const { at, event } = await ended.promise;
process.stdout.write(JSON.stringify({ wallMs: at - askedAt, ...event }));
daemon.close();
