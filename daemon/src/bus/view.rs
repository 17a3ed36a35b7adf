//! `org.zegod1.View`.

use zbus::{Variant, interface};
use zego_protocol::names;

use super::object::{Object, Shared, look};
use crate::engine::{Engine, ViewInfo};

/// Where pictures go.
pub(super) struct ViewObject {
    shared: Shared<ViewInfo>,
    engine: Engine,
}

/// Where pictures go: a texture, or a view that the daemon shows itself.
#[interface(name = "org.zegod1.View")]
impl ViewObject {
    /// The view's id, as the verbs take it.
    #[zbus(property(emits_changed_signal = "const"), name = "ViewID")]
    fn view_id(&self) -> u64 {
        look(&self.shared).info.id
    }

    /// `texture`, `pipe` or `null`; `kms` and `v4l2` are not in this version.
    #[zbus(property(emits_changed_signal = "const"))]
    fn kind(&self) -> String {
        look(&self.shared).info.kind.to_owned()
    }

    /// Width in pixels; 0 when it takes the source's and nothing was shown yet.
    #[zbus(property)]
    fn width(&self) -> u32 {
        self.size().0
    }

    /// Height in pixels.
    #[zbus(property)]
    fn height(&self) -> u32 {
        self.size().1
    }

    /// What it shows: a stream's id, `preview`, or nothing.
    #[zbus(property)]
    fn source(&self) -> String {
        look(&self.shared).info.source.clone()
    }

    /// Pictures shown so far. Counts without a signal.
    #[zbus(property(emits_changed_signal = "false"))]
    fn frames_shown(&self) -> u64 {
        let id = look(&self.shared).info.id;
        self.engine.view_counters(id).map_or(0, |(frames, _)| frames)
    }
}

impl ViewObject {
    fn size(&self) -> (u32, u32) {
        let (id, told) = {
            let shown = look(&self.shared);
            (shown.info.id, (shown.info.width, shown.info.height))
        };
        self.engine.view_counters(id).map_or(told, |(_, size)| size)
    }
}

impl Object for ViewObject {
    type Info = ViewInfo;

    fn number(info: &ViewInfo) -> u64 {
        info.id
    }

    fn path(number: u64) -> String {
        names::view_path(number)
    }

    fn new(shared: Shared<ViewInfo>, engine: Engine) -> Self {
        Self { shared, engine }
    }

    fn properties(info: &ViewInfo) -> Vec<(&'static str, Variant<'static>)> {
        vec![("Width", info.width.into()), ("Height", info.height.into()), ("Source", info.source.clone().into())]
    }
}
