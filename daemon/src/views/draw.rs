//! Drawing pictures into the pixels of a view.

use yuv::{YuvRange, YuvStandardMatrix, yuv420_to_bgra};

use crate::picture::{Picture, Plane};
use crate::views::place::Rectangle;

/// Converts a picture to B, G, R, X at its place in a frame of `stride` bytes a row; `mirror` exchanges left and right.
pub(super) fn draw_xr24(picture: &Picture<'_>, pixels: &mut [u8], stride: usize, at: Rectangle, mirror: bool) {
    let image = picture.planar();
    let target = &mut pixels[at.y * stride + at.x * 4..];
    if let Err(error) = yuv420_to_bgra(&image, target, stride as u32, YuvRange::Limited, YuvStandardMatrix::Bt601) {
        log::error!("a picture of {}x{} could not be converted: {error}", picture.width, picture.height);
        return;
    }
    if mirror {
        for row in target.chunks_mut(stride).take(at.height) {
            row[..at.width * 4].as_chunks_mut::<4>().0.reverse();
        }
    }
}

/// Paints everything outside `picture` in a colour, 0xRRGGBB. `pixels` has whole rows of `stride` bytes.
pub(super) fn paint_around_xr24(pixels: &mut [u8], stride: usize, picture: Rectangle, colour: u32) {
    let [blue, green, red, _] = colour.to_le_bytes();
    let fill = |bytes: &mut [u8]| bytes.as_chunks_mut::<4>().0.fill([blue, green, red, 255]);
    for (index, row) in pixels.chunks_exact_mut(stride).enumerate() {
        if index < picture.y || index >= picture.y + picture.height {
            fill(row);
        } else {
            fill(&mut row[..picture.x * 4]);
            fill(&mut row[(picture.x + picture.width) * 4..]);
        }
    }
}

/// Copies the planes one after the other, without padding. `pixels` is as long as that takes.
pub(super) fn copy_planes(picture: &Picture<'_>, pixels: &mut [u8], mirror: bool) {
    let (width, height) = (picture.width, picture.height);
    let (y, chroma) = pixels.split_at_mut(width * height);
    let (u, v) = chroma.split_at_mut(width * height / 4);
    copy_plane(picture.y, y, width, mirror);
    copy_plane(picture.u, u, width / 2, mirror);
    copy_plane(picture.v, v, width / 2, mirror);
}

fn copy_plane(plane: Plane<'_>, target: &mut [u8], width: usize, mirror: bool) {
    if plane.stride == width && !mirror {
        target.copy_from_slice(&plane.data[..target.len()]);
        return;
    }
    for (index, row) in target.chunks_exact_mut(width).enumerate() {
        row.copy_from_slice(plane.row(index, width));
        if mirror {
            row.reverse();
        }
    }
}

/// A colour, 0xRRGGBB, as Y, U, V in BT.601 limited range.
pub(super) fn colour_to_yuv(colour: u32) -> [u8; 3] {
    let [blue, green, red, _] = colour.to_le_bytes().map(i32::from);
    // The usual 8-bit integer form of the BT.601 matrix.
    [
        (((66 * red + 129 * green + 25 * blue + 128) >> 8) + 16) as u8,
        (((-38 * red - 74 * green + 112 * blue + 128) >> 8) + 128) as u8,
        (((112 * red - 94 * green - 18 * blue + 128) >> 8) + 128) as u8,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::PictureBuffer;

    fn plain(width: usize, height: usize, [y, u, v]: [u8; 3]) -> PictureBuffer {
        let mut picture = PictureBuffer::new(width, height);
        let planes = picture.planes_mut();
        planes.y.fill(y);
        planes.u.fill(u);
        planes.v.fill(v);
        picture
    }

    #[test]
    fn colours_survive_the_way_there_and_back() {
        for colour in [0x00_0000, 0xff_ffff, 0xff_0000, 0x00_ff00, 0x00_00ff, 0x80_4020, 0x12_34_56] {
            let picture = plain(64, 2, colour_to_yuv(colour));
            let mut pixels = vec![0; 64 * 4 * 2];
            let whole = Rectangle { x: 0, y: 0, width: 64, height: 2 };
            draw_xr24(&picture.picture(), &mut pixels, 256, whole, false);
            let [blue, green, red, _] = colour.to_le_bytes();
            for pixel in pixels.as_chunks::<4>().0 {
                let near = |a: u8, b: u8| a.abs_diff(b) <= 4;
                assert!(
                    near(pixel[0], blue) && near(pixel[1], green) && near(pixel[2], red),
                    "{colour:06x}: {pixel:?}"
                );
            }
        }
    }

    #[test]
    fn a_picture_is_drawn_in_its_place_only() {
        let picture = plain(8, 4, [235, 128, 128]);
        let mut pixels = vec![7; 16 * 4 * 8];
        let at = Rectangle { x: 4, y: 2, width: 8, height: 4 };
        draw_xr24(&picture.picture(), &mut pixels, 64, at, true);
        paint_around_xr24(&mut pixels, 64, at, 0x0a_0b_0c);
        for (index, pixel) in pixels.as_chunks::<4>().0.iter().enumerate() {
            let (x, y) = (index % 16, index / 16);
            let inside = (4..12).contains(&x) && (2..6).contains(&y);
            let expected = if inside { [255, 255, 255] } else { [0x0c, 0x0b, 0x0a] };
            assert_eq!(pixel[..3], expected, "{x},{y}");
        }
    }

    #[test]
    fn mirroring_exchanges_left_and_right() {
        let mut picture = plain(32, 2, [16, 128, 128]);
        picture.planes_mut().y[0] = 235;
        let mut pixels = vec![0; 32 * 4 * 2];
        let whole = Rectangle { x: 0, y: 0, width: 32, height: 2 };
        draw_xr24(&picture.picture(), &mut pixels, 128, whole, true);
        let bright: Vec<usize> =
            pixels.as_chunks::<4>().0.iter().enumerate().filter(|(_, p)| p[1] > 200).map(|(i, _)| i).collect();
        assert_eq!(bright, [31]);

        let mut planes = vec![0; 32 * 2 * 3 / 2];
        copy_planes(&picture.picture(), &mut planes, true);
        assert_eq!((planes[31], planes[0]), (235, 16));
    }

    #[test]
    fn padding_is_left_out_of_a_copy() {
        let data: Vec<u8> = (0..16).collect();
        let picture = Picture {
            width: 4,
            height: 2,
            y: Plane { data: &data, stride: 6 },
            u: Plane { data: &[50, 51, 99], stride: 3 },
            v: Plane { data: &[60, 61], stride: 2 },
        };
        let mut planes = [0; 12];
        copy_planes(&picture, &mut planes, false);
        assert_eq!(planes, [0, 1, 2, 3, 6, 7, 8, 9, 50, 51, 60, 61]);
    }
}
