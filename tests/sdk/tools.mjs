// Function calls through the official JavaScript SDK. Prints what it saw as JSON; test_node_tools.py judges.
//
//   node tools.mjs BASE_URL SPEECH.pcm

import { readFileSync } from 'node:fs';
import { Behavior, createFunctionResponsePartFromBase64, FunctionResponseScheduling, mcpToTool, Modality, Type } from '@google/genai';
import { blob, BOTH, connect, kind, report, start } from './live.mjs';

const NATIVE = 'gemini-2.5-flash-native-audio-preview-12-2025';
const pcm = readFileSync(process.argv[3]);
const text = { responseModalities: [Modality.TEXT] };
const audio = { responseModalities: [Modality.AUDIO], ...BOTH };

const declared = (behavior) => {
  const parameters = { type: Type.OBJECT, properties: { city: { type: Type.STRING } } };
  const names = ['weather', 'clock'];
  return { tools: [{ functionDeclarations: names.map((name) => ({ name, parameters, ...(behavior && { behavior }) })) }] };
};
const WEATHER = declared();
const BESIDE = declared(Behavior.NON_BLOCKING);
const response = { sky: 'blue' };
const answer = ({ id, name }, more = {}) => ({ id, name, response, ...more });

/** A session that notes what comes: `kinds` in order (runs of one kind told once), `text` of the model. */
const talk = async (config, options) => {
  const { session, next, closed } = await start(config, options);
  const seen = { kinds: [], text: '', reasons: [] };
  const note = (message) => {
    const content = message.serverContent;
    const what = message.toolCall ? 'toolCall' : message.toolCallCancellation ? 'toolCallCancellation' : kind(content);
    if (seen.kinds.at(-1) !== what) seen.kinds.push(what);
    seen.text += (message.text ?? '') + (content?.outputTranscription?.text ?? '');
    if (content?.turnCompleteReason) seen.reasons.push(content.turnCompleteReason);
    return what;
  };
  const until = async (what) => {
    for (;;) {
      const message = await next();
      if (note(message) === what) return message;
    }
  };
  return {
    session, seen, until, closed,
    say: (turns) => session.sendClientContent({ turns }),
    answer: (...functionResponses) => session.sendToolResponse({ functionResponses }),
    calls: async () => (await until('toolCall')).toolCall.functionCalls,
    end: () => { session.close(); return seen; },
  };
};

/** A slow call runs, and the model has begun to say that it has a look. */
const beside = async () => {
  const one = await talk({ ...audio, ...BESIDE });
  one.say('Weather?');
  const [call] = await one.calls();
  await one.until('audio');
  return { ...one, call };
};

/** Asks, answers as `respond` says, and listens to the end of the turn. */
const exchange = async (config, question, respond, options) => {
  const one = await talk(config, options);
  one.say(question);
  const calls = await one.calls();
  await respond(one, calls);
  await one.until('turnComplete');
  return { ...one.end(), calls };
};

const cancelled = async (config, options, before) => {
  const one = await talk(config, options);
  one.say('Weather?');
  const [call] = await one.calls();
  if (before) await one.until(before);
  one.session.sendRealtimeInput({ audio: blob(pcm) });
  const { ids } = (await one.until('toolCallCancellation')).toolCallCancellation;
  if (before !== 'turnComplete') await one.until('turnComplete');
  const kinds = [...one.seen.kinds];
  one.answer(answer(call));
  one.seen.text = '';
  await one.until('generationComplete');
  return { ...one.end(), kinds, id: call.id, ids };
};

/** What a server of the Model Context Protocol is to the SDK. */
const mcp = {
  listTools: async () => ({
    tools: [{
      name: 'add',
      description: 'Adds.',
      inputSchema: {
        $schema: 'http://json-schema.org/draft-07/schema#',
        type: 'object',
        properties: { a: { type: 'number' }, b: { type: ['number', 'null'] } },
        required: ['a'],
        additionalProperties: false,
      },
      outputSchema: { type: 'object' },
    }],
  }),
  callTool: async ({ arguments: { a, b } }) => ({ content: [{ type: 'text', text: String(a + b) }] }),
};

const scheduled = (call, scheduling, inside) =>
  answer(call, inside ? { response: { ...response, scheduling } } : { scheduling });

const scenarios = {
  blocking: () => exchange({ ...text, ...WEATHER }, 'Weather?', (one, [call]) => one.answer(answer(call))),

  speaking: () => exchange({ ...audio, ...WEATHER }, 'Well?', (one, [call]) => one.answer(answer(call))),

  async native() {
    return exchange({ ...audio, ...WEATHER }, 'Weather?', async (one, [call]) => {
      await one.until('turnComplete');
      one.answer(answer(call));
    }, { model: NATIVE });
  },

  backwards: () => exchange({ ...text, ...WEATHER }, 'Both?', (one, [weather, clock]) =>
    one.answer(answer(clock, { response: { time: 'noon' } }), answer(weather))),

  async oneByOne() {
    return exchange({ ...text, ...WEATHER }, 'Both?', (one, [weather, clock]) => {
      one.answer(answer(clock, { response: { time: 'noon' } }));
      one.answer(answer(weather));
    });
  },

  async mcp() {
    const tool = mcpToTool(mcp, { behavior: Behavior.BLOCKING });
    return exchange({ ...text, tools: [tool] }, 'Add.', async (one, calls) => {
      const [part] = await tool.callTool(calls);
      one.answer({ id: calls[0].id, ...part.functionResponse });
    });
  },

  async zod() {
    // What schema libraries write is told by its $schema, and goes out as JSON Schema.
    const parameters = (await mcp.listTools()).tools[0].inputSchema;
    const tools = [{ functionDeclarations: [{ name: 'add', parameters }] }];
    return exchange({ ...text, tools }, 'Add.', (one, [call]) => one.answer(answer(call)));
  },

  async badSchema() {
    const parameters = { type: Type.OBJECT, properties: { ids: { type: Type.ARRAY } } };
    const { closed } = await connect({ ...text, tools: [{ functionDeclarations: [{ name: 'f', parameters }] }] });
    return closed();
  },

  async interrupt() {
    return Promise.all([false, true].map(async (inside) => {
      const one = await beside();
      one.answer(scheduled(one.call, FunctionResponseScheduling.INTERRUPT, inside));
      await one.until('turnComplete');
      const kinds = [...one.seen.kinds];
      one.seen.text = '';
      await one.until('generationComplete');
      return { ...one.end(), kinds };
    }));
  },

  async whenIdle() {
    return Promise.all([false, true].map(async (inside) => {
      const one = await beside();
      one.answer(scheduled(one.call, FunctionResponseScheduling.WHEN_IDLE, inside));
      await one.until('turnComplete');
      const first = one.seen.text;
      one.seen.text = '';
      await one.until('turnComplete');
      return { ...one.end(), first };
    }));
  },

  async silent() {
    return Promise.all([false, true].map(async (inside) => {
      const one = await beside();
      one.answer(scheduled(one.call, FunctionResponseScheduling.SILENT, inside));
      await one.until('turnComplete');
      one.say('So?');
      await one.until('turnComplete');
      return one.end();
    }));
  },

  async generator() {
    const one = await beside();
    await one.until('turnComplete');
    const told = [];
    for (const percent of [50, 90]) {
      one.seen.text = '';
      one.answer(answer(one.call, { response: { percent }, willContinue: true }));
      await one.until('turnComplete');
      told.push(one.seen.text);
    }
    one.answer(answer(one.call, { response: {}, willContinue: false, scheduling: FunctionResponseScheduling.SILENT }));
    one.answer(answer(one.call));
    one.seen.text = '';
    one.say('And you?');
    await one.until('turnComplete');
    return { ...one.end(), told };
  },

  async image() {
    const parts = [createFunctionResponsePartFromBase64('/9j/4AAQSkZJRg==', 'image/jpeg')];
    return exchange({ ...text, ...WEATHER }, 'Photo?', (one, [call]) => one.answer(answer(call, { parts })));
  },

  async strayAnswers() {
    const one = await talk({ ...text, ...WEATHER });
    one.say('Weather?');
    const [call] = await one.calls();
    one.answer(answer({ id: 'nobody', name: 'weather' }));
    one.answer(answer(call), answer(call));
    await one.until('turnComplete');
    one.answer(answer(call));
    one.say('And you?');
    await one.until('turnComplete');
    return one.end();
  },

  vertex: () => exchange({ ...audio, ...WEATHER }, 'Both?', (one, [weather, clock]) =>
    one.answer({ name: clock.name, response }, { name: weather.name, response }),
  { vertexai: true, model: 'gemini-live-2.5-flash' }),

  async malformed() {
    const bad = [{ response: 'fine' }, { response: [1] }, { id: 5 }, { scheduling: 'LATER' }, { result: {} }];
    return Promise.all(bad.map(async (more) => {
      const one = await talk({ ...text, ...WEATHER });
      one.say('Weather?');
      const [call] = await one.calls();
      one.answer(answer(call, more));
      return one.closed();
    }));
  },

  cancelledByVoice: () => cancelled({ ...audio, ...WEATHER }),
  cancelledAfterItsTurn: () => cancelled({ ...audio, ...WEATHER }, { model: NATIVE }, 'turnComplete'),
  cancelledBeside: () => cancelled({ ...audio, ...BESIDE }, {}, 'audio'),

  async update() {
    const one = await talk(text);
    one.say('Weather?');
    await one.until('turnComplete');
    one.session.sendContextUpdate({ tools: { tools: WEATHER.tools } });
    one.say('Weather?');
    one.answer(...(await one.calls()).map((call) => answer(call)));
    await one.until('turnComplete');
    one.session.sendContextUpdate({ tools: { tools: [] } });
    one.say('Weather?');
    await one.until('turnComplete');
    return one.end();
  },
};

await report(scenarios, Object.keys(scenarios));
