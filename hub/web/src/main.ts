/** The page: its form, its buttons and what they show. */
import { ConnectionState, LogLevel, setLogLevel, Track } from 'livekit-client';
import { byId, Form } from './form';
import { Journal } from './journal';
import { type Person, Session } from './session';
import { Stage, type Sums } from './stage';
import { connectionFigures } from './connection';
import { streamIdError } from './streams';
import { joinFailure, qualityWord, stateWord } from './words';

// The event list tells people what they need; the console is kept for what is really broken.
setLogLevel(LogLevel.error);

const button = (id: string) => byId(id, HTMLButtonElement);
const form = new Form();
const journal = new Journal(byId('log', HTMLOListElement));
const stage = new Stage(byId('tiles', HTMLDivElement), (sums) => void showFigures(sums));
/** Worst loss of each user's streams in the last second. */
let losses = new Map<string, number>();
let session: Session | undefined;
/** What is being waited for; the buttons that would disturb it are disabled. */
let busy: 'join' | 'publish' | undefined;

function show(): void {
  const joined = session !== undefined && busy !== 'join';
  const publishing = session?.publisher.active ?? false;
  form.lockPlace(session !== undefined);
  form.lockWish(publishing || busy === 'publish');
  button('join').hidden = joined;
  button('join').disabled = busy === 'join';
  button('leave').hidden = session === undefined;
  button('leave').textContent = joined ? 'Leave' : 'Cancel';

  const allowed = session?.publisher.allowed ?? true;
  button('publish').hidden = publishing && busy !== 'publish';
  button('publish').disabled = !joined || busy !== undefined || !allowed;
  button('unpublish').hidden = !publishing || busy === 'publish';
  for (const [kind, id, on, off] of [
    [Track.Kind.Video, 'mute-camera', 'Camera off', 'Camera on'],
    [Track.Kind.Audio, 'mute-microphone', 'Mute', 'Unmute'],
  ] as const) {
    const state = session?.publisher.state(kind);
    const toggle = button(id);
    toggle.hidden = !state?.published;
    toggle.textContent = state?.muted ? off : on;
    toggle.ariaPressed = String(state?.muted ?? false);
  }
  const hint = byId('publish-hint', HTMLParagraphElement);
  hint.hidden = allowed && window.isSecureContext;
  hint.textContent = allowed
    ? 'The browser lends camera and microphone only to pages from https:// or localhost. Watching works here all the same.'
    : 'This token does not allow publishing [1003072]';

  stage.update(session?.streams() ?? []);
  byId('empty', HTMLDivElement).hidden = stage.count > 0;
  byId('empty-title', HTMLParagraphElement).textContent = joined ? 'No streams yet' : 'Nobody here yet';
  byId('empty-text', HTMLParagraphElement).textContent = joined
    ? 'You are in the room. Streams appear here as soon as somebody publishes.'
    : 'Fill in the room and join. Everybody who publishes appears here.';
  showPeople(session?.people() ?? []);
}

let peopleShown = '';

function showPeople(people: Person[]): void {
  const all = JSON.stringify(people.map((person) => [person, qualityWord(person.quality, losses.get(person.user))]));
  if (all === peopleShown) {
    return;
  }
  peopleShown = all;
  byId('people-card', HTMLElement).hidden = people.length === 0;
  byId('people', HTMLUListElement).replaceChildren(
    ...people.map((person) => {
      const item = document.createElement('li');
      item.dataset['user'] = person.user;
      const name = document.createElement('span');
      name.textContent = person.local ? `${person.name} (you)` : person.name;
      item.append(name);
      if (person.name !== person.user) {
        const user = document.createElement('code');
        user.textContent = person.user;
        item.append(user);
      }
      const quality = qualityWord(person.quality, losses.get(person.user));
      item.dataset['quality'] = quality;
      if (quality) {
        const word = document.createElement('span');
        word.className = 'quality-word';
        word.textContent = quality;
        word.title = 'Connection quality';
        item.append(word);
      }
      return item;
    }),
  );
}

async function showFigures(sums: Sums): Promise<void> {
  losses = sums.losses;
  showPeople(session?.people() ?? []);
  const line = byId('quality', HTMLParagraphElement);
  const report = await session?.connectionReport();
  line.hidden = !report;
  line.textContent = report ? connectionFigures(report, sums) : '';
}

function showState(state: ConnectionState): void {
  const line = byId('state', HTMLParagraphElement);
  line.dataset['state'] = state;
  line.textContent = stateWord(state);
}

function showError(id: 'join-error' | 'publish-error', text: string | undefined): void {
  const line = byId(id, HTMLParagraphElement);
  line.hidden = text === undefined;
  line.textContent = text ?? '';
}

async function join(): Promise<void> {
  const place = form.place();
  showError('join-error', form.missing());
  if (session || form.missing() !== undefined) {
    return;
  }
  const wrong = Session.contradiction(place.token, place);
  const mine: Session = new Session(
    {
      state: (state) => mine === session && showState(state),
      changed: () => mine === session && show(),
      soundBlocked: (blocked) => (button('enable-sound').hidden = !blocked || mine !== session),
      journal: (text, weight) => journal.add(text, weight),
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
  showError('join-error', byUs ? undefined : text);
  showError('publish-error', undefined);
  showState(ConnectionState.Disconnected);
  button('enable-sound').hidden = true;
  byId('quality', HTMLParagraphElement).hidden = true;
  byId('room-name', HTMLParagraphElement).textContent = '';
  show();
}

async function leave(): Promise<void> {
  const leaving = session;
  if (!leaving) {
    return;
  }
  over(busy === 'join' ? 'Joining was cancelled' : 'You left the room', true);
  await leaving.leave();
}

async function publish(): Promise<void> {
  const mine = session;
  const wish = form.wish();
  const wrong =
    streamIdError(wish.streamId) ??
    (wish.camera || wish.microphone ? undefined : 'Nothing to publish: choose camera, microphone or both');
  showError('publish-error', wrong);
  if (!mine || busy || wrong !== undefined) {
    return;
  }
  busy = 'publish';
  show();
  let failure: string | undefined;
  try {
    await mine.publisher.start(wish, (text) => journal.add(text, 'bad'));
  } catch (error) {
    failure = error instanceof Error ? error.message : String(error);
    journal.add(failure, 'bad');
  }
  if (mine === session) {
    busy = undefined;
    showError('publish-error', failure);
    show();
  }
}

function onClick(id: string, work: () => Promise<void> | void): void {
  button(id).addEventListener('click', () => void work());
}

byId('join-form', HTMLFormElement).addEventListener('submit', (event) => {
  event.preventDefault();
  void join();
});
byId('publish-form', HTMLFormElement).addEventListener('submit', (event) => {
  event.preventDefault();
  void publish();
});
onClick('leave', leave);
onClick('unpublish', async () => {
  await session?.publisher.stop();
  show();
});
onClick('mute-camera', () => toggleMute(Track.Kind.Video));
onClick('mute-microphone', () => toggleMute(Track.Kind.Audio));
onClick('enable-sound', () => session?.enableSound());
onClick('clear-log', () => journal.clear());

async function toggleMute(kind: Track.Kind): Promise<void> {
  const state = session?.publisher.state(kind);
  if (session && state?.published) {
    await session.publisher.mute(kind, !state.muted);
    show();
  }
}

const wishes = form.fill(location, history);
show();
if (wishes.join) {
  await join();
  if (wishes.publish && session) {
    await publish();
  }
}
