/** The page: brings the room, the buttons and what they show together. */
import { ConnectionState, LogLevel, setLogLevel, Track } from 'livekit-client';
import { Chat } from './chat';
import { connectionFigures } from './connection';
import { type Busy, showControls } from './controls';
import { Devices, type Part } from './devices';
import { byId, say } from './dom';
import { FigureList, type Sums } from './figures';
import { Form } from './form';
import { Journal } from './journal';
import type { Message } from './messages';
import { Panel } from './panel';
import { People } from './people';
import { Session } from './session';
import { listenToKeys } from './shortcuts';
import { Speakers } from './speakers';
import { Stage } from './stage';
import { streamIdError } from './streams';
import { themeButton } from './theme';
import { deviceFailure, joinFailure, screenFailure, stateWord } from './words';

// The event list tells people what they need; the console is kept for what is really broken.
setLogLevel(LogLevel.error);

const button = (id: string) => byId(id, HTMLButtonElement);
const form = new Form();
const journal = new Journal(byId('log', HTMLOListElement));
const stage = new Stage(byId('tiles', HTMLDivElement));
const figures = new FigureList(
  byId('figures', HTMLDivElement),
  (sums) => void showConnection(sums),
  (key, volume) => stage.volume(key, volume),
);
const people = new People(byId('people', HTMLUListElement));
const chat = new Chat();
const devices = new Devices((part, id) => void changeDevice(part, id));
let unread = 0;
const panel = new Panel((shown) => {
  if (shown === 'chat') {
    showUnread(0);
    chat.scroll();
  }
});
/** Worst loss of each user's streams in the last second. */
let losses = new Map<string, number>();
let session: Session | undefined;
let busy: Busy;

function show(): void {
  const publishing = session?.publisher.active ?? false;
  form.lockPlace(session !== undefined);
  form.lockWish(publishing || busy === 'publish');
  showControls(session, busy);
  const streams = session?.streams() ?? [];
  stage.update(streams);
  figures.update(streams);
  byId('no-figures', HTMLParagraphElement).hidden = streams.length > 0;
  byId('empty', HTMLDivElement).hidden = session !== undefined && stage.count > 0;
  people.show(session?.people() ?? [], losses);
}

async function showConnection(sums: Sums): Promise<void> {
  losses = sums.losses;
  people.show(session?.people() ?? [], losses);
  const report = (await session?.reports())?.[0];
  say('quality', report ? connectionFigures(report, sums) : undefined);
}

function showState(state: ConnectionState): void {
  const line = byId('state', HTMLParagraphElement);
  line.dataset['state'] = state;
  line.textContent = stateWord(state);
  const broken = state === ConnectionState.Reconnecting || state === ConnectionState.SignalReconnecting;
  say(
    'banner',
    broken ? 'The connection to the server is lost. Trying again: pictures and sound come back by themselves.' : undefined,
  );
}

function showUnread(count: number): void {
  unread = count;
  const mark = byId('unread', HTMLElement);
  mark.hidden = count === 0;
  mark.textContent = String(count);
  mark.setAttribute('aria-label', `${count} unread`);
}

/** Says something to people who do not see the page. */
function announce(text: string): void {
  byId('announcer', HTMLParagraphElement).textContent = text;
}

function heard(message: Message): void {
  chat.add(message, false);
  announce(`Message from ${message.user}: ${message.text}`);
  if (panel.shown !== 'chat') {
    showUnread(unread + 1);
  }
}

async function join(): Promise<void> {
  const place = form.place();
  const missing = form.missing();
  say('join-error', missing);
  if (session || missing !== undefined) {
    return;
  }
  const wrong = Session.contradiction(place.token, place);
  const mine: Session = new Session(
    {
      state: (state) => mine === session && showState(state),
      changed: () => mine === session && show(),
      soundBlocked: (blocked) => (button('enable-sound').hidden = !blocked || mine !== session),
      journal: (text, weight) => journal.add(text, weight),
      traffic: (text) => {
        journal.add(text);
        announce(text);
      },
      message: (message) => mine === session && heard(message),
      ended: (text, byUs) => {
        if (mine === session) {
          over(text, byUs);
        }
      },
    },
    place.transport,
  );
  session = mine;
  busy = 'join';
  show();
  try {
    await mine.join(place, wrong);
    busy = undefined;
    byId('room-name', HTMLParagraphElement).textContent = place.room;
    show();
    byId('main', HTMLElement).focus();
    // There is room for it beside the tiles, and what to publish is the next question.
    if (matchMedia('(min-width: 821px)').matches) {
      panel.open(form.publishAtOnce ? 'chat' : 'settings');
    }
    if (form.publishAtOnce) {
      await publish();
    }
  } catch (error) {
    if (mine === session) {
      busy = undefined;
      over(joinFailure(error, place.server), false);
    }
  }
}

/** The stay is over: shows why, and the form again. */
function over(text: string, byUs: boolean): void {
  session = undefined;
  busy = undefined;
  losses = new Map();
  journal.add(text, byUs ? 'plain' : 'bad');
  say('join-error', byUs ? undefined : text);
  for (const id of ['publish-error', 'chat-error', 'device-error', 'quality']) {
    say(id, undefined);
  }
  showState(ConnectionState.Disconnected);
  button('enable-sound').hidden = true;
  byId('room-name', HTMLParagraphElement).textContent = '';
  panel.close();
  chat.clear();
  showUnread(0);
  show();
  button('join').focus();
}

async function leave(): Promise<void> {
  const leaving = session;
  if (!leaving) {
    return;
  }
  over(busy === 'join' ? 'Joining was cancelled' : 'You left the room', true);
  await leaving.leave();
}

/** Does something that the server or the browser may refuse, and shows its reason then. */
async function attempt(what: Exclude<Busy, 'join'>, work: (mine: Session) => Promise<void>): Promise<void> {
  const mine = session;
  if (!mine || busy) {
    return;
  }
  busy = what;
  show();
  let failure: string | undefined;
  try {
    await work(mine);
  } catch (error) {
    failure = error instanceof Error ? error.message : String(error);
    journal.add(failure, 'bad');
  }
  if (mine === session) {
    busy = undefined;
    say('publish-error', failure);
    show();
  }
}

async function publish(): Promise<void> {
  const wish = form.wish();
  const wrong =
    streamIdError(wish.streamId) ??
    (wish.camera || wish.microphone ? undefined : 'Nothing to publish: choose camera, microphone or both');
  say('publish-error', wrong);
  if (wrong === undefined) {
    await attempt('publish', (mine) => mine.publisher.start(wish, (text) => journal.add(text, 'bad')));
    // Now the browser tells the devices' names.
    await devices.refresh();
  }
}

async function share(): Promise<void> {
  if (session?.screen.active) {
    await session.screen.stop();
    show();
    return;
  }
  const { codec } = form.wish();
  await attempt('share', async (mine) => {
    try {
      await mine.screen.start(codec);
    } catch (error) {
      throw new Error(screenFailure(error), { cause: error });
    }
  });
}

async function toggleMute(kind: Track.Kind): Promise<void> {
  const state = session?.publisher.state(kind);
  if (!session || !state?.published) {
    return;
  }
  try {
    await session.publisher.mute(kind, !state.muted);
    const part = kind === Track.Kind.Video ? 'Camera' : 'Microphone';
    announce(`${part} ${state.muted ? 'on' : kind === Track.Kind.Video ? 'off' : 'muted'}`);
  } catch (error) {
    say('publish-error', deviceFailure(error));
  }
  show();
}

async function changeDevice(part: Part, id: string): Promise<void> {
  try {
    if (part === 'speaker') {
      await session?.room.switchActiveDevice('audiooutput', id || 'default');
    } else {
      await session?.publisher.use(part === 'camera' ? Track.Kind.Video : Track.Kind.Audio, id);
    }
    say('device-error', undefined);
  } catch (error) {
    say('device-error', deviceFailure(error));
  }
}

async function sendMessage(): Promise<void> {
  const mine = session;
  if (!mine) {
    return;
  }
  const field = byId('chat-text', HTMLInputElement);
  const text = field.value;
  // Another may be written, and even refused, before this one is on its way.
  field.value = '';
  say('chat-error', undefined);
  try {
    await mine.messages.send(text, performance.now());
    if (mine === session) {
      chat.add({ user: '', text, at: new Date() }, true);
    }
  } catch (error) {
    field.value ||= text;
    say('chat-error', error instanceof Error ? error.message : String(error));
  }
}

async function copyLink(): Promise<void> {
  const link = form.link(location);
  try {
    await navigator.clipboard.writeText(link);
    say('link-hint', 'Copied. The link carries the token: give it only to whom the token is for.');
  } catch {
    // No clipboard for insecure pages, or not allowed.
    say('link-hint', link);
  }
}

function onSubmit(id: string, work: () => Promise<void>): void {
  byId(id, HTMLFormElement).addEventListener('submit', (event) => {
    event.preventDefault();
    void work();
  });
}

function onClick(id: string, work: () => Promise<void> | void): void {
  button(id).addEventListener('click', () => void work());
}

onSubmit('join-form', join);
onSubmit('publish-form', publish);
onSubmit('chat-form', sendMessage);
onClick('cancel', leave);
onClick('leave', leave);
onClick('copy-link', copyLink);
onClick('unpublish', async () => {
  await session?.publisher.stop();
  show();
});
onClick('mute-camera', () => toggleMute(Track.Kind.Video));
onClick('mute-microphone', () => toggleMute(Track.Kind.Audio));
onClick('share', share);
onClick('open-chat', () => panel.toggle(button('open-chat'), 'chat'));
onClick('open-panel', () => panel.toggle(button('open-panel')));
onClick('enable-sound', () => session?.enableSound());
onClick('clear-log', () => journal.clear());
themeButton(button('theme'));
listenToKeys(byId('shortcuts', HTMLInputElement), {
  m: () => void toggleMute(Track.Kind.Audio),
  v: () => void toggleMute(Track.Kind.Video),
});

const speakers = new Speakers();
setInterval(async () => {
  const reports = await session?.reports();
  if (reports) {
    stage.speaking(speakers.read(reports, performance.now()));
  }
}, Speakers.everyMs);

const wishes = form.fill(location, history);
show();
if (wishes.join) {
  await join();
}
