// Sessions of the official JavaScript SDK, unmodified, with the server at argv[2], and what a turn came to.

import { GoogleGenAI } from '@google/genai';

export const baseUrl = process.argv[2];
export const MODEL = 'gemini-live-2.5-flash-preview';
export const BOTH = { inputAudioTranscription: {}, outputAudioTranscription: {} };
const LIMIT_MS = 20_000;

/** A promise that fails when it takes too long. */
const soon = (promise, what) => {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing in ${LIMIT_MS} ms: ${what}`)), LIMIT_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
};

/** A connection whose messages can be waited for. */
export const connect = async (config, { model = MODEL, apiKey = 'any', vertexai = false, httpOptions = {} } = {}) => {
  const messages = [];
  const log = [];
  let wake = () => {};
  let told;
  const closed = new Promise((resolve) => { told = resolve; });
  const client = new GoogleGenAI({ apiKey, vertexai, httpOptions: { baseUrl, ...httpOptions } });
  const opening = client.live.connect({
    model,
    config,
    callbacks: {
      onopen: () => log.push('open'),
      onmessage: (message) => { messages.push(message); wake(); },
      onerror: (error) => log.push(`error ${error.message}`),
      onclose: (event) => { log.push('close'); told({ code: event.code, reason: event.reason }); },
    },
  });
  opening.catch(() => {}); // SDKs from 3 on reject when the server closes before the setup; onclose tells it to all
  const next = async () => {
    while (messages.length === 0) await soon(new Promise((resolve) => { wake = resolve; }), 'message');
    return messages.shift();
  };
  const turn = async () => {
    const seen = [];
    for (;;) {
      seen.push(await next());
      if (seen.at(-1).serverContent?.turnComplete) return summary(seen);
    }
  };
  return { opening, closed: () => soon(closed, 'close'), next, turn, log };
};

/** A session that is set up. */
export const start = async (config, options) => {
  const connection = await connect(config, options);
  const session = await soon(connection.opening, 'setup');
  const first = await connection.next();
  if (!first.setupComplete) throw new Error('no setupComplete');
  return { ...connection, session, first };
};

export const kind = (content) => {
  for (const name of ['interrupted', 'generationComplete', 'turnComplete']) if (content[name]) return name;
  if (content.inputTranscription) return content.inputTranscription.finished ? 'heard finished' : 'heard';
  if (content.outputTranscription) return content.outputTranscription.finished ? 'said finished' : 'said';
  return content.modelTurn.parts[0].inlineData ? 'audio' : 'text';
};

/** What a turn came to. Audio is joined as the guide does it: chunk by chunk through Int16Array. */
const summary = (messages) => {
  const contents = messages.map((m) => m.serverContent);
  const samples = messages.filter((m) => m.data).flatMap((m) => {
    const buffer = Buffer.from(m.data, 'base64');
    return Array.from(new Int16Array(buffer.buffer, buffer.byteOffset, buffer.byteLength / 2));
  });
  const kinds = contents.map(kind);
  return {
    kinds: kinds.filter((k, i) => k !== kinds[i - 1]),
    text: messages.map((m) => m.text ?? '').join(''),
    samples: samples.length,
    loud: samples.some((s) => Math.abs(s) > 1000),
    mimes: [...new Set(contents.flatMap((c) => c.modelTurn?.parts ?? []).map((p) => p.inlineData?.mimeType))],
    heard: contents.map((c) => c.inputTranscription?.text ?? '').join(''),
    said: contents.map((c) => c.outputTranscription?.text ?? '').join(''),
    usage: messages.at(-1).usageMetadata,
  };
};

export const blob = (bytes) => ({ data: bytes.toString('base64'), mimeType: 'audio/pcm;rate=16000' });

/** Runs the scenarios of these names all at once, and prints what each saw as JSON. */
export const report = async (scenarios, names) => {
  const results = {};
  await Promise.all(names.map(async (name) => {
    try {
      results[name] = await scenarios[name]();
    } catch (error) {
      results[name] = { failed: String(error.stack ?? error) };
    }
  }));
  process.stdout.write(JSON.stringify(results));
  process.exit(0);
};
