import { testEveryTransfer } from '../support/every-transfer.ts';

testEveryTransfer('octopus-pro-h723');
