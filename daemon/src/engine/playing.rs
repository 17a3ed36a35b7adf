//! The verbs about playing.

use tokio::sync::oneshot;
use zego_protocol::id;
use zego_protocol::state::ZegoPlayerState;

use super::core::{Core, PlayerEntry};
use super::endpoint;
use super::error::EngineError;
use super::event::VideoLayer;
use super::handle::{Engine, Reply};
use super::player::{PlayerInput, PlayerSetup, start};
use super::request::Play;
use super::rooms::PATIENCE;
use crate::media::meter::SoundMeter;
use crate::rtc::MediaKind;
use crate::signal::Direction;

/// A player on its way: its number, and its outcome when it is known.
type Starting = (u64, oneshot::Receiver<Result<ZegoPlayerState, EngineError>>);

impl Core {
    fn play(&mut self, play: Play) -> Result<Starting, EngineError> {
        id::stream_id(&play.stream_id)?;
        // Without a canvas only the sound is played.
        let video = play.video.unwrap_or(play.canvas.view.is_some());
        if play.audio == Some(false) && !video {
            return Err(EngineError::argument("A player needs sound or pictures; leave out audio or video"));
        }
        let url = play.endpoint.as_ref().map(|given| endpoint::check(given, &play.room_id)).transpose()?;
        let room = match &url {
            Some(_) => None,
            None => Some(self.room_entry(&play.room_id, 1_004_070)?.room.clone()),
        };
        // Before anything is changed: a refused call takes nobody's view.
        if let Some(entry) = self.players.get(&play.stream_id)
            && (entry.url != url || room.as_ref().is_some_and(|room| room.number != entry.player.room))
        {
            let detail = format!("Stream '{}' is played from somewhere else; call StopPlaying first", play.stream_id);
            return Err(EngineError::argument(&detail));
        }
        if !self.players.contains_key(&play.stream_id) && self.players.len() >= id::PLAYER_MAX {
            let detail = format!("Stream '{}' is one too many: {} are played", play.stream_id, id::PLAYER_MAX);
            return Err(EngineError::new(1_004_010, &detail));
        }
        let published = self.channels.values().filter_map(|entry| entry.publishing.as_ref());
        if room.is_some() && published.into_iter().any(|published| published.stream_id == play.stream_id) {
            // A server sends nobody his own stream: it would be waited for in vain.
            let detail = format!("Stream '{}' is published here; StartPreview shows it", play.stream_id);
            return Err(EngineError::unsupported(&detail));
        }
        let view = self.view_for(&play.canvas, false)?;
        let shown = view.as_ref().map(|view| view.id());
        if let Some(id) = shown {
            self.leave_view(id);
        }
        let (outcome, outcome_is) = oneshot::channel();
        if let Some(entry) = self.players.get_mut(&play.stream_id) {
            // The same stream again: its view changes, and what is received of it.
            let number = entry.player.number;
            let freed = std::mem::replace(&mut entry.view, shown).filter(|old| Some(*old) != shown);
            entry.player.tell(PlayerInput::Again { view, audio: play.audio, video, reply: outcome });
            self.view_is_free(freed);
            if let Some(view) = shown {
                self.view_shows(view, &play.stream_id);
            }
            return Ok((number, outcome_is));
        }
        self.played_before.insert(&play.stream_id);
        let room = match (room, url.clone(), play.endpoint) {
            (None, Some(url), Some(endpoint)) => {
                self.ensure_created();
                self.start_endpoint(url, endpoint, Direction::Play, &play.stream_id)
            }
            (Some(room), ..) => room,
            (None, ..) => return Err(EngineError::internal("A stream without a place")),
        };
        let number = self.next_number();
        let stream_id = play.stream_id.clone();
        let ended = self.later(move |core| {
            if core.players.get(&stream_id).is_some_and(|entry| entry.player.number == number) {
                let view = core.players.remove(&stream_id).and_then(|entry| entry.view);
                core.view_is_free(view);
            }
        });
        let meter = SoundMeter::new(&self.audience);
        let (player, task) = start(PlayerSetup {
            number,
            stream_id: play.stream_id.clone(),
            room,
            audio: play.audio.unwrap_or(true),
            video,
            view,
            playback: self.playback(),
            meter: meter.clone(),
            news: self.news.clone(),
            outcome,
            ended,
        });
        if let Some(view) = shown {
            self.view_shows(view, &play.stream_id);
        }
        self.players.insert(play.stream_id, PlayerEntry { player, meter, view: shown, url, task });
        Ok((number, outcome_is))
    }

    fn stop_playing(&mut self, stream_id: &str, reply: Reply<()>) {
        match self.players.remove(stream_id) {
            Some(entry) => {
                entry.player.tell(PlayerInput::Stop(reply));
                self.view_is_free(entry.view);
            }
            None if self.played_before.contains(stream_id) => {
                let _ = reply.send(Ok(()));
            }
            None => {
                let _ = reply.send(Err(EngineError::new(1_004_011, &format!("Stream '{stream_id}' is not played"))));
            }
        }
    }
}

impl Engine {
    /// StartPlaying: the number of the player's object and the state that was reached. A stream that is not there is
    /// waited for: the state is "requesting" then.
    ///
    /// # Errors
    /// No room, no such view, too many streams, a server that refuses.
    pub async fn play(&self, play: Play) -> Result<(u64, ZegoPlayerState), EngineError> {
        let (number, outcome) = self.with(move |core| core.play(play)).await?;
        match tokio::time::timeout(PATIENCE, outcome).await {
            Ok(Ok(outcome)) => outcome.map(|state| (number, state)),
            // It ended before it was asked.
            Ok(Err(_)) => Err(EngineError::new(1_004_011, "The player ended")),
            Err(_) => Ok((number, ZegoPlayerState::PlayRequesting)),
        }
    }

    /// StopPlaying.
    ///
    /// # Errors
    /// 1004011 for a stream that was never played.
    pub async fn stop_playing(&self, stream_id: &str) -> Result<(), EngineError> {
        let stream_id = stream_id.to_owned();
        self.ask(move |core, reply| core.stop_playing(&stream_id, reply)).await
    }

    /// Stops the player of this object, if it is still there.
    ///
    /// # Errors
    /// None but an engine that has ended.
    pub async fn end_player(&self, number: u64) -> Result<(), EngineError> {
        self.ask(move |core, reply| {
            let found = core.players.iter().find(|(_, entry)| entry.player.number == number).map(|(id, _)| id.clone());
            match found {
                Some(stream_id) => core.stop_playing(&stream_id, reply),
                None => {
                    let _ = reply.send(Ok(()));
                }
            }
        })
        .await
    }

    /// The player's property Volume, 0 to 200.
    ///
    /// # Errors
    /// 1000017 out of range, 1004011 for a player that has ended.
    pub async fn set_play_volume(&self, number: u64, volume: i32) -> Result<(), EngineError> {
        id::volume(volume)?;
        self.to_player(number, move |reply| PlayerInput::Volume(volume, reply)).await
    }

    /// The player's property AudioMuted: the sound is not received any more.
    ///
    /// # Errors
    /// 1004011 for a player that has ended.
    pub async fn mute_played_audio(&self, number: u64, muted: bool) -> Result<(), EngineError> {
        self.to_player(number, move |reply| PlayerInput::Mute(MediaKind::Audio, muted, reply)).await
    }

    /// The player's property VideoMuted: the pictures are not received any more.
    ///
    /// # Errors
    /// 1004011 for a player that has ended.
    pub async fn mute_played_video(&self, number: u64, muted: bool) -> Result<(), EngineError> {
        self.to_player(number, move |reply| PlayerInput::Mute(MediaKind::Video, muted, reply)).await
    }

    /// The player's property VideoLayer.
    ///
    /// # Errors
    /// 1004011 for a player that has ended.
    pub async fn set_video_layer(&self, number: u64, layer: VideoLayer) -> Result<(), EngineError> {
        self.to_player(number, move |reply| PlayerInput::Layer(layer, reply)).await
    }

    async fn to_player(
        &self,
        number: u64,
        input: impl FnOnce(Reply<()>) -> PlayerInput + Send + 'static,
    ) -> Result<(), EngineError> {
        self.ask(move |core, reply| match core.players.values().find(|entry| entry.player.number == number) {
            Some(entry) => entry.player.tell(input(reply)),
            None => {
                let _ = reply.send(Err(EngineError::new(1_004_011, "This player has ended")));
            }
        })
        .await
    }
}
