//! The task `image` on pictures made here: sizes, formats, turns, and what is refused.

mod hostile;
mod quality;

use std::io::Cursor;
use std::path::Path;

use ::image::{DynamicImage, ImageEncoder as _, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::super::context::WorkCell;
use super::super::registry::Registry;
use super::*;
use crate::protocol::BatchId;

/// A picture whose left half is red and whose right half is blue, or nothing at all where `clear`.
fn picture(width: u32, height: u32, clear: bool) -> DynamicImage {
    let right = if clear { Rgba([0, 0, 255, 0]) } else { Rgba([0, 0, 255, 255]) };
    let image =
        RgbaImage::from_fn(width, height, |x, _| if x < width / 2 { Rgba([255, 0, 0, 255]) } else { right });
    if clear { image.into() } else { DynamicImage::from(image).into_rgb8().into() }
}

fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut content = Cursor::new(Vec::new());
    picture.write_to(&mut content, format).unwrap();
    content.into_inner()
}

/// Runs the task as the engine does; answers the result and the one file.
async fn run(name: &str, content: &[u8], params: Value) -> Result<(Value, String, DynamicImage), TaskError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in");
    std::fs::write(&path, content).unwrap();
    let cell = Arc::new(WorkCell::default());
    let context = TaskContext::new(Arc::clone(&cell), CancellationToken::new(), folder.path().join("out"));
    let input =
        ItemInput::File { name: name.into(), path, bytes: content.len() as u64, media_type: String::new() };
    let item = Item { batch: BatchId::from_u128(1), seq: 1, generation: 1, attempt: 1, input };
    let registry = Registry::default().with(Image::default());
    let (_, ready) = registry.prepare("image", &Json::from_value(&params)).unwrap().unwrap();
    let result = ready.run(item, context).await?.to_value();
    let files = cell.files();
    assert_eq!(files.len(), 1);
    let (name, path) = &files[0];
    assert_eq!(result["bytes"], std::fs::metadata(path).unwrap().len());
    Ok((result, name.clone(), read(path)))
}

fn read(path: &Path) -> DynamicImage {
    ::image::ImageReader::open(path).unwrap().with_guessed_format().unwrap().decode().unwrap()
}

#[tokio::test]
async fn resizes_and_converts() {
    for from in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP] {
        let content = encoded(&picture(400, 301, false), from);
        for (format, ending) in [("png", "png"), ("jpeg", "jpg"), ("webp", "webp")] {
            let params = json!({"width": 100, "format": format});
            let (result, name, made) = run("a/b.c.tiff", &content, params).await.unwrap();
            assert_eq!(name, format!("b.c.{ending}"));
            assert_eq!((made.width(), made.height()), (100, 75));
            assert_eq!((&result["width"], &result["height"]), (&json!(100), &json!(75)));
            let left = made.to_rgb8()[(10, 40)];
            assert!(left[0] > 240 && left[2] < 15, "{left:?}");
        }
    }
}

#[tokio::test]
async fn keeps_format_and_size_when_nothing_is_asked() {
    let content = encoded(&picture(30, 20, false), ImageFormat::Jpeg);
    let (_, name, made) = run("photo.JPEG", &content, json!({})).await.unwrap();
    assert_eq!(name, "photo.jpeg");
    assert_eq!((made.width(), made.height()), (30, 20));
}

#[tokio::test]
async fn covers_by_cutting_and_fills_by_stretching() {
    let content = encoded(&picture(400, 100, false), ImageFormat::Png);
    for fit in ["cover", "fill"] {
        let params = json!({"width": 50, "height": 60, "fit": fit});
        let (_, _, made) = run("a.png", &content, params).await.unwrap();
        assert_eq!((made.width(), made.height()), (50, 60));
        assert!(made.to_rgb8()[(2, 30)][0] > 240);
        assert!(made.to_rgb8()[(47, 30)][2] > 240);
    }
}

#[tokio::test]
async fn transparency_stays_or_becomes_white() {
    let content = encoded(&picture(100, 100, true), ImageFormat::Png);
    let (_, _, made) = run("a.png", &content, json!({"width": 50, "format": "webp"})).await.unwrap();
    assert_eq!(made.to_rgba8()[(45, 25)][3], 0);
    let (_, _, made) = run("a.png", &content, json!({"width": 50, "format": "jpeg"})).await.unwrap();
    assert!(made.to_rgb8()[(45, 25)].0.iter().all(|sample| *sample > 240));
    let grey = DynamicImage::from(picture(64, 64, true).to_luma_alpha8());
    let content = encoded(&grey, ImageFormat::Png);
    let (_, _, made) = run("a.png", &content, json!({"width": 32, "format": "jpeg"})).await.unwrap();
    assert!(!made.color().has_color() && made.to_luma8()[(30, 16)][0] > 240);
}

#[tokio::test]
async fn pictures_are_turned_upright() {
    let mut content = encoded(&picture(40, 20, false), ImageFormat::Jpeg);
    // An EXIF block that says: turn by a quarter, clockwise (orientation 6).
    let exif = b"\xff\xe1\x00\x22Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    content.splice(2..2, exif.iter().copied());
    let (result, _, made) = run("a.jpg", &content, json!({"width": 10, "format": "png"})).await.unwrap();
    assert_eq!((made.width(), made.height()), (10, 20));
    assert_eq!(result["height"], 20);
    assert!(made.to_rgb8()[(5, 2)][0] > 200, "red was left and is now up");
    assert!(made.to_rgb8()[(5, 17)][2] > 200);
}

/// A PNG whose header promises `side` × `side` pixels and that ends there.
fn promise(side: u32) -> Vec<u8> {
    let mut content = encoded(&picture(1, 1, false), ImageFormat::Png);
    content[16..20].copy_from_slice(&side.to_be_bytes());
    content[20..24].copy_from_slice(&side.to_be_bytes());
    let check = crc32(&content[12..29]);
    content[29..33].copy_from_slice(&check.to_be_bytes());
    content
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |check, byte| {
        (0..8).fold(check ^ u32::from(*byte), |check, _| {
            if check & 1 == 1 { 0xedb8_8320 ^ (check >> 1) } else { check >> 1 }
        })
    })
}

#[tokio::test]
async fn bad_pictures_fail_for_good_in_families() {
    let jpeg = encoded(&picture(400, 300, false), ImageFormat::Jpeg);
    let png = encoded(&picture(400, 300, false), ImageFormat::Png);
    let webp = encoded(&picture(400, 300, false), ImageFormat::WebP);
    let cases: [(&str, &[u8], &str); 10] = [
        ("empty", b"", "unsupported"),
        ("text", b"hello, this is no picture", "unsupported"),
        ("gif", b"GIF89a\x01\0\x01\0\0\0\0;", "unsupported"),
        ("bomb", &promise(50_000), "too_large"),
        ("wider than any", &promise(70_000), "too_large"),
        ("promise", &promise(300), "decode"),
        ("half a png", &png[..png.len() / 2], "decode"),
        ("head of a jpeg", &jpeg[..60], "decode"),
        ("half a jpeg", &jpeg[..jpeg.len() / 2], "decode"),
        ("half a webp", &webp[..webp.len() / 2], "decode"),
    ];
    for (case, content, kind) in cases {
        let fault = run("a.png", content, json!({"width": 10})).await.expect_err(case);
        assert_eq!(fault.kind, kind, "{case}: {fault}");
        assert_eq!(fault.again, super::super::task::Again::No, "{case}");
        assert!(!fault.message.contains("a.png"), "{case}: {fault}");
    }
    let thin = encoded(&picture(2, 6_000, false), ImageFormat::Png);
    let fault = run("a.png", &thin, json!({"width": 16_383})).await.expect_err("too high");
    assert_eq!(fault.kind, "too_large");
}

#[tokio::test]
async fn stray_bytes_between_segments_cost_nothing() {
    let junk = include_bytes!("../../../tests/pictures/junk-between-segments.jpg");
    let (result, _, made) = run("a.jpg", junk, json!({"format": "png"})).await.unwrap();
    assert_eq!((&result["width"], &result["notes"]), (&json!(made.width()), &Value::Null));
    let mut content = encoded(&picture(40, 20, false), ImageFormat::Jpeg);
    let plain = run("a.jpg", &content, json!({"format": "png"})).await.unwrap().2;
    content.splice(2..2, b"\0\x10stray\xff\0\xff".iter().copied());
    assert_eq!(run("a.jpg", &content, json!({"format": "png"})).await.unwrap().2, plain);
}

#[tokio::test]
async fn what_is_not_kept_is_said() {
    for content in [
        &include_bytes!("../../../tests/pictures/three-frames.png")[..],
        include_bytes!("../../../tests/pictures/three-frames.webp"),
    ] {
        let (result, ..) = run("a", content, json!({"width": 4})).await.unwrap();
        assert_eq!(result["notes"], json!(["Only the first of 3 frames was kept."]));
    }
    let clear = encoded(&picture(10, 10, true), ImageFormat::Png);
    let (result, ..) = run("a.png", &clear, json!({"format": "jpeg"})).await.unwrap();
    assert_eq!(result["notes"], json!(["Transparent parts became white: jpeg has no transparency."]));
    let deep = encoded(&picture(10, 10, false).to_rgb16().into(), ImageFormat::Png);
    let (result, ..) = run("a.png", &deep, json!({})).await.unwrap();
    assert_eq!(result["notes"], json!(["16 bits a sample became 8."]));
    let plain = encoded(&picture(10, 10, false), ImageFormat::Png);
    let (result, ..) = run("a.png", &plain, json!({"format": "webp"})).await.unwrap();
    assert_eq!(result.get("notes"), None);
}

/// Smooth with a little noise, as photographs are.
fn photo(width: u32, height: u32) -> DynamicImage {
    let mut noise = 1_u32;
    RgbImage::from_fn(width, height, |x, y| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let sample = |slope: u32| u8::try_from((x * slope / 3 + y + (noise >> 29)) % 256).unwrap();
        Rgb([sample(1), sample(2), sample(3)])
    })
    .into()
}

#[tokio::test]
async fn webp_is_as_small_as_its_quality_says() {
    let content = encoded(&photo(320, 240), ImageFormat::Png);
    let bytes = async |params: Value| {
        let (result, ..) = run("a.png", &content, params).await.unwrap();
        result["bytes"].as_u64().unwrap()
    };
    let (low, usual) =
        (bytes(json!({"format": "webp", "quality": 20})).await, bytes(json!({"format": "webp"})).await);
    let whole = bytes(json!({"format": "webp", "lossless": true})).await;
    assert!(low < usual && usual < whole / 2, "{low} {usual} {whole}");
    let (_, _, made) = run("a.png", &content, json!({"format": "webp", "lossless": true})).await.unwrap();
    assert_eq!(made.to_rgb8(), photo(320, 240).to_rgb8());
}

#[tokio::test]
async fn a_profile_goes_along_into_webp() {
    let mut profile = vec![0; 131];
    profile[16..20].copy_from_slice(b"RGB ");
    for clear in [false, true] {
        let picture = picture(9, 7, clear);
        let mut content = Vec::new();
        let mut encoder = ::image::codecs::png::PngEncoder::new(&mut content);
        encoder.set_icc_profile(profile.clone()).unwrap();
        encoder.write_image(picture.as_bytes(), 9, 7, picture.color().into()).unwrap();
        for lossless in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("in");
            std::fs::write(&file, &content).unwrap();
            let params = ImageParams { format: Some(Format::Webp), lossless, ..ImageParams::default() };
            let plan = Plan::of(&file, &params).unwrap();
            let context =
                TaskContext::new(Arc::default(), CancellationToken::new(), folder.path().join("out"));
            let (made, notes) = picture::make(&file, &plan, &context).unwrap();
            assert!(notes.is_empty(), "{notes:?}");
            let mut decoder = ::image::codecs::webp::WebPDecoder::new(Cursor::new(made)).unwrap();
            assert_eq!(::image::ImageDecoder::icc_profile(&mut decoder).unwrap(), Some(profile.clone()));
            let made = DynamicImage::from_decoder(decoder).unwrap();
            assert_eq!((made.width(), made.height()), (9, 7));
            assert_eq!(made.to_rgba8()[(8, 3)][3] < 255, clear);
        }
    }
}

#[tokio::test]
async fn few_colours_have_a_palette() {
    let colours = |count: u32| {
        let colour = |x: u32, y: u32| ((x / 3 + y * 7) % count) as u8;
        DynamicImage::from(RgbaImage::from_fn(61, 47, |x, y| {
            let shade = colour(x, y);
            Rgba([shade, 255 - shade, shade / 2, if shade == 1 { 99 } else { 255 }])
        }))
    };
    for (count, kind) in [(2, 1), (4, 2), (16, 4), (256, 8)] {
        let picture = colours(count);
        let (_, _, made) = run("a.png", &encoded(&picture, ImageFormat::Png), json!({})).await.unwrap();
        assert_eq!(made.to_rgba8(), picture.to_rgba8(), "{count} colours");
        let content = write::png::encode(&picture, None).unwrap();
        assert_eq!((content[24], content[25]), (kind, 3), "bits, palette");
    }
    let many = write::png::encode(&photo(99, 99), None).unwrap();
    assert_eq!((many[24], many[25]), (8, 2));
}

#[test]
fn parameters_are_checked() {
    let registry = Registry::default().with(Image::default());
    let prepare =
        |params: Value| registry.prepare("image", &Json::from_value(&params)).unwrap().map(|ready| ready.0);
    assert_eq!(
        prepare(json!({})).unwrap().to_value(),
        json!({"fit": "contain", "quality": 85, "lossless": false})
    );
    for bad in [
        json!({"width": 0}),
        json!({"width": 16_384}),
        json!({"quality": 101}),
        json!({"fit": "crop"}),
        json!({"format": "gif"}),
        json!({"depth": 8}),
    ] {
        assert!(prepare(bad.clone()).is_err(), "{bad}");
    }
}

#[test]
fn file_names_are_plain() {
    for (name, expected) in [
        ("a.png", "a.webp"),
        ("dir/sub\\a.b.PNG", "a.b.webp"),
        (".hidden", ".hidden.webp"),
        ("..", "image.webp"),
        ("", "image.webp"),
        ("x/", "image.webp"),
        ("nul\0l.png", "nul_l.webp"),
    ] {
        assert_eq!(file_name(name, Format::Webp), expected);
    }
    assert_eq!(file_name(&"ö".repeat(300), Format::Png).len(), STEM_BYTES_MAX + 4);
}
