//! Where a picture lies in a view.

use crate::picture::{Picture, Plane};
use crate::views::ViewMode;

/// A rectangle in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rectangle {
    pub(super) x: usize,
    pub(super) y: usize,
    pub(super) width: usize,
    pub(super) height: usize,
}

/// Which part of the picture is shown in which part of the view. Sides and corners of the part of the picture are even, as
/// are the sides of a part of the view, unless it is the whole side.
pub(super) fn place(picture: (usize, usize), view: (usize, usize), mode: ViewMode) -> (Rectangle, Rectangle) {
    let whole = |(width, height)| Rectangle { x: 0, y: 0, width, height };
    match mode {
        ViewMode::ScaleToFill => (whole(picture), whole(view)),
        ViewMode::AspectFit => (whole(picture), inner(picture, view, 1)),
        ViewMode::AspectFill => (inner(view, picture, 2), whole(view)),
    }
}

/// The largest rectangle with the shape of `shape` in the middle of `outer`; corners are multiples of `grid`.
fn inner(shape: (usize, usize), outer: (usize, usize), grid: usize) -> Rectangle {
    let even = |side: usize, limit: usize| if side >= limit { limit } else { (side & !1).max(2).min(limit) };
    // Compared by cross products: width / height of one against the other.
    let (width, height) = if shape.0 * outer.1 >= shape.1 * outer.0 {
        (outer.0, even((outer.0 * shape.1 + shape.0 / 2) / shape.0, outer.1))
    } else {
        (even((outer.1 * shape.0 + shape.1 / 2) / shape.1, outer.0), outer.1)
    };
    let middle = |outer: usize, inner: usize| (outer - inner) / 2 / grid * grid;
    Rectangle { x: middle(outer.0, width), y: middle(outer.1, height), width, height }
}

/// A part of a picture. The rectangle is even and inside it.
pub(super) fn crop<'a>(picture: &Picture<'a>, part: Rectangle) -> Picture<'a> {
    let cut = |plane: Plane<'a>, x: usize, y: usize| Plane { data: &plane.data[y * plane.stride + x..], ..plane };
    Picture {
        width: part.width,
        height: part.height,
        y: cut(picture.y, part.x, part.y),
        u: cut(picture.u, part.x / 2, part.y / 2),
        v: cut(picture.v, part.x / 2, part.y / 2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(x: usize, y: usize, width: usize, height: usize) -> Rectangle {
        Rectangle { x, y, width, height }
    }

    #[test]
    fn fit_shows_all_of_the_picture() {
        let cases = [
            ((640, 480), (640, 480), at(0, 0, 640, 480)),
            ((640, 480), (1280, 720), at(160, 0, 960, 720)),
            ((1280, 720), (640, 480), at(0, 60, 640, 360)),
            ((480, 640), (640, 480), at(140, 0, 360, 480)),
            ((640, 480), (321, 241), at(0, 0, 321, 241)),
            ((1280, 720), (1, 1), at(0, 0, 1, 1)),
            ((8000, 2), (100, 100), at(0, 49, 100, 2)),
        ];
        for (picture, view, expected) in cases {
            let (source, target) = place(picture, view, ViewMode::AspectFit);
            assert_eq!((source, target), (at(0, 0, picture.0, picture.1), expected), "{picture:?} in {view:?}");
        }
    }

    #[test]
    fn fill_leaves_nothing_free() {
        let cases = [
            ((640, 480), (1280, 720), at(0, 60, 640, 360)),
            ((1280, 720), (640, 480), at(160, 0, 960, 720)),
            ((640, 480), (640, 480), at(0, 0, 640, 480)),
            ((1280, 720), (100, 300), at(520, 0, 240, 720)),
        ];
        for (picture, view, expected) in cases {
            let (source, target) = place(picture, view, ViewMode::AspectFill);
            assert_eq!((source, target), (expected, at(0, 0, view.0, view.1)), "{picture:?} in {view:?}");
        }
    }

    #[test]
    fn stretch_uses_both_as_they_are() {
        assert_eq!(place((640, 480), (99, 7), ViewMode::ScaleToFill), (at(0, 0, 640, 480), at(0, 0, 99, 7)));
    }

    #[test]
    fn every_shape_stays_inside_and_even() {
        for (width, height) in [(2, 2), (16, 2), (640, 480), (1920, 1080), (2, 3000)] {
            for view in [(1, 1), (1, 999), (33, 7), (640, 480), (4096, 3)] {
                for mode in [ViewMode::AspectFit, ViewMode::AspectFill, ViewMode::ScaleToFill] {
                    let (source, target) = place((width, height), view, mode);
                    let context = format!("{width}x{height} in {view:?} {mode:?}: {source:?} {target:?}");
                    assert!(source.x + source.width <= width && source.y + source.height <= height, "{context}");
                    assert!(target.x + target.width <= view.0 && target.y + target.height <= view.1, "{context}");
                    assert!(
                        [source.x, source.y, source.width, source.height].iter().all(|side| side % 2 == 0),
                        "{context}"
                    );
                    assert!(
                        source.width > 0 && source.height > 0 && target.width > 0 && target.height > 0,
                        "{context}"
                    );
                }
            }
        }
    }
}
