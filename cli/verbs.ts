import type { Command } from 'commander'
import type { Terminal } from './terminal.ts'

/** For a verb that ends as the program ended that it ran: takes its exit code. */
export type EndWith = (code: number) => void

/** One verb of the command. */
export interface Verb {
  readonly name: string
  readonly summary: string
  /** Brings what the verb is made of, which takes most of the time that a command takes to start. */
  load(terminal: Terminal, end: EndWith): Promise<Command>
}

/** In the order of the help. */
export const VERBS: readonly Verb[] = [
  {
    name: 'serve',
    summary: 'Run the proxy',
    load: async (terminal) => (await import('./serve.ts')).serveCommand(terminal),
  },
  {
    name: 'add',
    summary: 'Add a well-known API with its key, and print the line to paste',
    load: async (terminal) => (await import('./add.ts')).addCommand(terminal),
  },
  {
    name: 'apply',
    summary: 'Add and change what a file names, and say what changed',
    load: async (terminal) => (await import('./apply.ts')).applyCommands(terminal).apply,
  },
  {
    name: 'check',
    summary: 'Say what apply would do, changing nothing',
    load: async (terminal) => (await import('./apply.ts')).applyCommands(terminal).check,
  },
  {
    name: 'principal',
    summary: 'Users and services that may call Locum',
    load: async (terminal) => (await import('./principal.ts')).principalCommand(terminal),
  },
  {
    name: 'connection',
    summary: 'External systems that can be reached through Locum',
    load: async (terminal) => (await import('./connection.ts')).connectionCommand(terminal),
  },
  {
    name: 'provider',
    summary: 'OAuth clients and JWT issuers that connections share',
    load: async (terminal) => (await import('./provider.ts')).providerCommand(terminal),
  },
  {
    name: 'type',
    summary: 'What credentials are made of, from JSON Schema',
    load: async (terminal) => (await import('./type.ts')).typeCommand(terminal),
  },
  {
    name: 'connect',
    summary: 'Consent at a provider, from a terminal: by a code, or a link to open',
    load: async (terminal) => (await import('./connect.ts')).connectCommand(terminal),
  },
  {
    name: 'credential',
    summary: 'The secrets, sealed, and whom they serve',
    load: async (terminal) => (await import('./credential.ts')).credentialCommand(terminal),
  },
  {
    name: 'project',
    summary: 'Who uses credentials together',
    load: async (terminal) => (await import('./project.ts')).projectCommand(terminal),
  },
  {
    name: 'explain',
    summary: 'Say which connection and whose credential a request would use, and why',
    load: async (terminal) => (await import('./explain.ts')).explainCommand(terminal),
  },
  {
    name: 'run',
    summary: 'Run a program with everything set for it, on a key of its own that ends with it',
    load: async (terminal, end) => (await import('./run.ts')).runVerb(terminal, end),
  },
  {
    name: 'audit',
    summary: 'Who used what, when, and who changed what',
    load: async (terminal) => (await import('./audit.ts')).auditCommand(terminal),
  },
  {
    name: 'cert',
    summary: 'The certificates that sign JWTs',
    load: async (terminal) => (await import('./cert.ts')).certCommand(terminal),
  },
  {
    name: 'ca',
    summary: 'The certificate authority that clients trust',
    load: async (terminal) => (await import('./ca.ts')).caCommand(terminal),
  },
  {
    name: 'site',
    summary: 'This installation',
    load: async (terminal) => (await import('./site.ts')).siteCommand(terminal),
  },
  {
    name: 'demo',
    summary: 'Show the main job, end to end, against an upstream of its own',
    load: async (terminal) => (await import('./demo.ts')).demoCommand(terminal),
  },
]
