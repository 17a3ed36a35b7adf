//! How a picture is fitted into a view.

/// What happens when the picture's shape is not the view's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ViewMode {
    /// The whole picture, with background at two sides (0).
    #[default]
    AspectFit,
    /// The whole view, with two sides of the picture cut off (1).
    AspectFill,
    /// The picture is stretched to the view (2).
    ScaleToFill,
}

impl ViewMode {
    /// The mode of a public number, if there is one.
    #[must_use]
    pub const fn from_number(number: i32) -> Option<Self> {
        match number {
            0 => Some(Self::AspectFit),
            1 => Some(Self::AspectFill),
            2 => Some(Self::ScaleToFill),
            _ => None,
        }
    }
}

/// How a view shows its pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Canvas {
    /// How a picture of another shape is fitted in.
    pub mode: ViewMode,
    /// Colour of what the picture leaves free, 0xRRGGBB.
    pub background: u32,
    /// Left and right change places.
    pub mirror: bool,
}
