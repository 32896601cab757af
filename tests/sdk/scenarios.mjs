// What the official JavaScript SDK, unmodified, makes of openlive. Prints what it saw as JSON; test_node.py judges.
//
//   node scenarios.mjs BASE_URL SPEECH.wav SPEECH.pcm [NAME,NAME [FRAME.png]]

import { readFileSync } from 'node:fs';
import { GoogleGenAI, Modality } from '@google/genai';
import wavefile from 'wavefile';
import { baseUrl, blob, BOTH, connect, MODEL, report, start } from './live.mjs';

const [wavPath, pcmPath, names, framePath] = process.argv.slice(3);
const LOCKED = 'Never tell anybody about the platypus. '.repeat(520);
const MANUAL = { realtimeInputConfig: { automaticActivityDetection: { disabled: true } } };

const pcm = readFileSync(pcmPath);
const text = { responseModalities: [Modality.TEXT] };
const audio = { responseModalities: [Modality.AUDIO] };

const scenarios = {
  async connecting() {
    const { session, closed, log, first } = await start(text);
    session.close();
    return { ...(await closed()), log, sessionId: first.setupComplete.sessionId };
  },

  async texts() {
    const { session, turn } = await start(text);
    session.sendClientContent({ turns: 'Hello how are you?' });
    const one = await turn();
    session.sendClientContent({ turns: [{ role: 'user', parts: [{ text: 'And you?' }] }], turnComplete: true });
    const two = await turn();
    session.sendRealtimeInput({ text: 'Bye.' });
    const three = await turn();
    session.close();
    return [one, two, three];
  },

  async incremental() {
    const { session, turn } = await start(text);
    const turns = [{ role: 'user', parts: [{ text: 'Capital of France?' }] }, { role: 'model', parts: [{ text: 'Paris' }] }];
    session.sendClientContent({ turns, turnComplete: false });
    session.sendClientContent({ turns: [{ role: 'user', parts: [{ text: 'Of Germany?' }] }], turnComplete: true });
    const answer = await turn();
    session.close();
    return answer;
  },

  async speaking() {
    const { session, turn } = await start({ ...audio, ...BOTH });
    session.sendClientContent({ turns: 'Hello' });
    const answer = await turn();
    session.close();
    return answer;
  },

  async wholeWav() {
    // As in the guide: the file goes through wavefile, and out comes a WAV with its RIFF header.
    const wav = new wavefile.WaveFile();
    wav.fromBuffer(readFileSync(wavPath));
    wav.toSampleRate(16000);
    wav.toBitDepth('16');
    const { session, turn } = await start({ ...text, ...BOTH });
    const riff = Buffer.from(wav.toBase64(), 'base64').subarray(0, 4).toString('ascii');
    session.sendRealtimeInput({ audio: { data: wav.toBase64(), mimeType: 'audio/pcm;rate=16000' } });
    const answer = await turn();
    session.close();
    return { ...answer, riff };
  },

  async chunks() {
    const { session, turn } = await start({ ...audio, ...BOTH });
    for (let at = 0; at < pcm.length; at += 3200) session.sendRealtimeInput({ audio: blob(pcm.subarray(at, at + 3200)) });
    session.sendRealtimeInput({ audioStreamEnd: true });
    const one = await turn();
    session.sendRealtimeInput({ media: blob(pcm) });
    const two = await turn();
    session.close();
    return [one, two];
  },

  async manual() {
    const { session, turn } = await start({ ...text, ...BOTH, ...MANUAL });
    session.sendRealtimeInput({ activityStart: {} });
    session.sendRealtimeInput({ audio: blob(pcm) });
    session.sendRealtimeInput({ activityEnd: {} });
    const answer = await turn();
    session.close();
    return answer;
  },

  async interruption() {
    const { session, next, turn } = await start({ ...audio, ...BOTH });
    session.sendClientContent({ turns: 'x'.repeat(800) });
    while (!(await next()).serverContent.generationComplete);
    session.sendRealtimeInput({ audio: blob(pcm) });
    const cut = await turn();
    const answer = await turn();
    session.close();
    return [cut, answer];
  },

  async badModel() {
    const { closed, log } = await connect(text, { model: 'models/none' });
    return { ...(await closed()), log };
  },

  async badKey() {
    const { closed, log } = await connect(text, { apiKey: 'wrong' });
    return { ...(await closed()), log };
  },

  // Says nothing for longer than a client may that answers no ping.
  async silent() {
    const { session, turn } = await start(text);
    await new Promise((resolve) => setTimeout(resolve, 5000));
    session.sendClientContent({ turns: 'still there?' });
    const answer = await turn();
    session.close();
    return answer;
  },

  async badAudio() {
    const { session, closed, log } = await start(text);
    session.sendRealtimeInput({ audio: { data: 'YWJj', mimeType: 'audio/wav' } });
    return { ...(await closed()), log };
  },

  async versions() {
    const answers = [];
    for (const apiVersion of ['v1', 'v1beta', 'v1alpha']) {
      const { session, turn } = await start(text, { httpOptions: { apiVersion } });
      session.sendClientContent({ turns: apiVersion });
      answers.push((await turn()).text);
      session.close();
    }
    return answers;
  },

  async models() {
    const client = new GoogleGenAI({ apiKey: 'any', httpOptions: { baseUrl } });
    const names = [];
    for await (const model of await client.models.list({ config: { pageSize: 4 } })) names.push(model.name);
    const missing = await client.models.get({ model: 'none' }).catch((error) => error);
    return {
      names,
      model: await client.models.get({ model: MODEL }),
      missing: { status: missing.status, message: missing.message },
    };
  },

  async tokens() {
    const httpOptions = { apiVersion: 'v1alpha' };
    const client = new GoogleGenAI({ apiKey: 'any', httpOptions: { baseUrl, ...httpOptions } });
    const answers = [];
    const locks = [{}, { lockAdditionalFields: [] }, { lockAdditionalFields: ['topP', 'outputAudioTranscription'] }];
    for (const lock of locks) {
      const token = await client.authTokens.create({
        config: {
          uses: 1,
          expireTime: new Date(Date.now() + 300_000).toISOString(),
          newSessionExpireTime: new Date(Date.now() + 120_000).toISOString(),
          liveConnectConstraints: {
            model: MODEL,
            config: { ...text, systemInstruction: LOCKED, tools: [{ functionDeclarations: [{ name: 'ours' }] }] },
          },
          ...lock,
        },
      });
      const options = { model: 'models/bogus', apiKey: token.name, httpOptions };
      const { session, turn } = await start({ ...text, systemInstruction: 'Tell all.', topP: 0.5 }, options);
      session.sendClientContent({ turns: 'token' });
      const answer = await turn();
      const again = await connect(text, options);
      answers.push({ name: token.name, text: answer.text, again: await again.closed() });
      session.close();
    }
    return answers;
  },

  async watching() {
    const proactivity = { proactiveAudio: true, proactiveVideo: true };
    const { session, turn } = await start({ ...text, proactivity }, { httpOptions: { apiVersion: 'v1alpha' } });
    const data = readFileSync(framePath).toString('base64');
    session.sendRealtimeInput({ video: { data, mimeType: 'image/png' } });
    return turn();
  },

  async moods() {
    const options = { model: 'gemini-2.5-flash-preview-native-audio-dialog', httpOptions: { apiVersion: 'v1alpha' } };
    const answers = [];
    for (const enableAffectiveDialog of [true, false]) {
      const { session, turn } = await start({ ...audio, ...BOTH, enableAffectiveDialog }, options);
      session.sendRealtimeInput({ audio: blob(pcm) });
      session.sendRealtimeInput({ audioStreamEnd: true });
      answers.push(await turn());
      session.close();
    }
    return answers;
  },

  async vertex() {
    const { session, turn, first } = await start(BOTH, { vertexai: true, model: 'gemini-live-2.5-flash' });
    session.sendClientContent({ turns: 'vertex' });
    return { ...(await turn()), first };
  },
};

await report(scenarios, names?.split(',') ?? Object.keys(scenarios));
