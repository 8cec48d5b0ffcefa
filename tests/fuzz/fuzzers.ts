import { answers } from './answers.ts'
import type { Fuzzer } from './engine.ts'
import { file } from './file.ts'
import { placeholders } from './placeholders.ts'
import { redactor } from './redactor.ts'
import { targets } from './targets.ts'
import { whole } from './whole.ts'
import { wire } from './wire.ts'

export const FUZZERS: readonly Fuzzer[] = [wire, answers, targets, placeholders, redactor, file, whole]
