// A worker process of the fault matrix: takes a piece, tells what became of it, and ends when there are no more.
import { carryOut, type Piece } from './work.ts';

// Where an error arose tells nothing here, and finding it out takes most of the time.
Error.stackTraceLimit = 0;

process.on('message', (piece: Piece) => {
  void carryOut(piece).then((tally) => process.send?.(tally));
});
