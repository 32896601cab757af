// The official JavaScript SDK with the embedded default: resumption, tokens, manual activity, an image.
// Prints what it saw as JSON; tests/conversation/test_sdks.py judges.
//
//   node embedded.mjs BASE_URL SPEECH.pcm IMAGE.png

import { readFileSync } from 'node:fs';
import { GoogleGenAI, Modality } from '@google/genai';

const [baseUrl, pcmPath, imagePath] = process.argv.slice(2);
const MODEL = 'gemini-live-2.5-flash-preview';
const TEXT = { responseModalities: [Modality.TEXT] };

const connect = async (config, { apiKey = 'any', httpOptions = {} } = {}) => {
  const messages = [];
  let wake = () => {};
  const client = new GoogleGenAI({ apiKey, httpOptions: { baseUrl, ...httpOptions } });
  const session = await client.live.connect({
    model: MODEL,
    config,
    callbacks: { onmessage: (message) => { messages.push(message); wake(); }, onerror: () => {}, onclose: () => {} },
  });
  const next = async () => {
    while (messages.length === 0) await new Promise((resolve) => { wake = resolve; });
    return messages.shift();
  };
  const until = async (found) => {
    const seen = [];
    do seen.push(await next()); while (!found(seen.at(-1)));
    return seen;
  };
  const turn = async () => {
    const seen = await until((m) => m.serverContent?.turnComplete);
    return { text: seen.map((m) => m.text ?? '').join(''), usage: seen.at(-1).usageMetadata };
  };
  return { session, until, turn };
};

const resumption = async () => {
  const first = await connect({ ...TEXT, sessionResumption: {} });
  first.session.sendClientContent({ turns: 'My name is Anna and I live in Lisbon.' });
  await first.turn();
  const [update] = (await first.until((m) => m.sessionResumptionUpdate)).slice(-1);
  first.session.sendClientContent({ turns: 'Tell me a long story about a lighthouse.' });
  await first.until((m) => m.text);
  first.session.conn.ws.terminate(); // cut in the middle of the answer
  const handle = update.sessionResumptionUpdate.newHandle;
  const second = await connect({ ...TEXT, sessionResumption: { handle } });
  second.session.sendClientContent({ turns: 'What is my name?' });
  const { text } = await second.turn();
  second.session.close();
  return text;
};

const tokens = async () => {
  const httpOptions = { apiVersion: 'v1alpha' };
  const client = new GoogleGenAI({ apiKey: 'any', httpOptions: { baseUrl, ...httpOptions } });
  const token = await client.authTokens.create({
    config: { uses: 1, liveConnectConstraints: { model: MODEL, config: TEXT } },
  });
  const { session, turn } = await connect(TEXT, { apiKey: token.name, httpOptions });
  session.sendClientContent({ turns: 'What is the capital of France?' });
  const { text } = await turn();
  session.close();
  return text;
};

const manual = async () => {
  const detection = { automaticActivityDetection: { disabled: true } };
  const { session, turn } = await connect({ ...TEXT, realtimeInputConfig: detection });
  session.sendRealtimeInput({ activityStart: {} });
  session.sendRealtimeInput({ audio: { data: readFileSync(pcmPath).toString('base64'), mimeType: 'audio/pcm;rate=16000' } });
  session.sendRealtimeInput({ activityEnd: {} });
  const { text } = await turn();
  session.close();
  return text;
};

const image = async () => {
  const { session, turn } = await connect(TEXT);
  const data = readFileSync(imagePath).toString('base64');
  const parts = [{ text: 'Can you see this image?' }, { inlineData: { data, mimeType: 'image/png' } }];
  session.sendClientContent({ turns: [{ role: 'user', parts }] });
  const answer = await turn();
  session.close();
  return answer;
};

console.log(JSON.stringify({
  resumption: await resumption(), tokens: await tokens(), manual: await manual(), image: await image(),
}));
process.exit(0);
