//! What pictures look like after a resize, in numbers: nothing is seen of the decoder's own way to make a JPEG smaller.

use ::image::codecs::jpeg::JpegEncoder;

use super::*;

/// Bounds of likeness, in decibels; from 35 on eyes do not tell two photographs apart.
const LIKE_MIN: f64 = 40.0;

/// How alike two pictures are: the peak signal-to-noise ratio of their samples, in decibels.
fn likeness(one: &RgbImage, other: &RgbImage) -> f64 {
    assert_eq!(one.dimensions(), other.dimensions());
    let sum: f64 = one
        .as_raw()
        .iter()
        .zip(other.as_raw())
        .map(|(one, other)| (f64::from(*one) - f64::from(*other)).powi(2))
        .sum();
    let samples: u32 = one.as_raw().len().try_into().unwrap();
    10.0 * (255.0 * 255.0 * f64::from(samples) / sum.max(f64::MIN_POSITIVE)).log10()
}

/// Slopes, edges and noise.
fn scene(width: u32, height: u32) -> RgbImage {
    let mut noise = 1_u32;
    RgbImage::from_fn(width, height, |x, y| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let edge = if (x / 37 + y / 53) % 5 == 0 { 90 } else { 0 };
        let sample = |slope: u32| {
            let slope = x * slope * 120 / width / 3 + y * 60 / height;
            u8::try_from((slope + edge + (noise >> 28)).min(255)).unwrap()
        };
        Rgb([sample(1), sample(2), sample(3)])
    })
}

fn jpeg(picture: &DynamicImage) -> Vec<u8> {
    let mut content = Vec::new();
    picture.write_with_encoder(JpegEncoder::new_with_quality(&mut content, 92)).unwrap();
    content
}

fn shrink_of(content: &[u8], params: &Value) -> u8 {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("in");
    std::fs::write(&file, content).unwrap();
    Plan::of(&file, &serde_json::from_value(params.clone()).unwrap()).unwrap().shrink
}

#[tokio::test]
async fn a_picture_made_smaller_while_decoded_looks_the_same() {
    // Sides that are no multiples of 8, so that the decoder's last pixels are in the picture in part only.
    let (colour, grey) =
        (DynamicImage::from(scene(1_003, 701)), DynamicImage::from(scene(1_003, 701)).to_luma8());
    for content in [jpeg(&colour), jpeg(&grey.into())] {
        let whole = ::image::load_from_memory(&content).unwrap();
        let whole = encoded(&whole, ImageFormat::Png);
        for (params, shrink) in [
            (json!({"width": 400}), 1),
            (json!({"width": 250}), 2),
            (json!({"width": 125}), 4),
            (json!({"width": 60}), 8),
            (json!({"width": 120, "height": 120, "fit": "cover"}), 2),
            (json!({"width": 60, "height": 20, "fit": "cover"}), 8),
            (json!({"width": 40, "height": 90, "fit": "fill"}), 2),
        ] {
            let mut params = params;
            params["format"] = json!("png");
            assert_eq!(shrink_of(&content, &params), shrink, "{params}");
            let made = run("a.jpg", &content, params.clone()).await.unwrap().2.to_rgb8();
            let right = run("a.png", &whole, params.clone()).await.unwrap().2.to_rgb8();
            let alike = likeness(&made, &right);
            assert!(alike >= LIKE_MIN, "{params}: {alike:.1} dB");
        }
    }
}

#[tokio::test]
async fn a_jpeg_is_as_good_as_its_quality_says() {
    let picture = DynamicImage::from(scene(320, 240));
    let content = encoded(&picture, ImageFormat::Png);
    let mut last = (0.0, 0);
    for (quality, like_min) in [(30, 28.0), (60, 30.0), (85, 32.0), (95, 38.0)] {
        let params = json!({"format": "jpeg", "quality": quality});
        let (result, _, made) = run("a.png", &content, params).await.unwrap();
        let (alike, bytes) =
            (likeness(&made.to_rgb8(), &picture.to_rgb8()), result["bytes"].as_u64().unwrap());
        assert!(
            alike >= like_min && alike > last.0 && bytes > last.1,
            "{quality}: {alike:.1} dB, {bytes} bytes"
        );
        last = (alike, bytes);
    }
}

#[tokio::test]
async fn a_profile_goes_along_into_jpeg_and_out_of_it() {
    // Longer than a segment holds.
    let mut profile: Vec<u8> = (0..100_000_u32).map(|at| at.to_le_bytes()[1]).collect();
    profile[16..20].copy_from_slice(b"RGB ");
    let picture = picture(20, 10, false);
    let mut content = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut content, 90);
    encoder.set_icc_profile(profile.clone()).unwrap();
    encoder.write_image(picture.as_bytes(), 20, 10, picture.color().into()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("in");
    std::fs::write(&file, &content).unwrap();
    let plan = Plan::of(&file, &ImageParams::default()).unwrap();
    let context = TaskContext::new(Arc::default(), CancellationToken::new(), folder.path().join("out"));
    let (made, notes) = picture::make(&file, &plan, &context).unwrap();
    assert!(notes.is_empty(), "{notes:?}");
    let mut decoder = ::image::codecs::jpeg::JpegDecoder::new(Cursor::new(made)).unwrap();
    assert!(::image::ImageDecoder::icc_profile(&mut decoder).unwrap() == Some(profile));
}

#[tokio::test]
async fn one_row_becomes_one_column() {
    let row =
        DynamicImage::from(RgbImage::from_fn(3_000, 1, |x, _| Rgb([u8::try_from(x / 12).unwrap(), 9, 9])));
    let params = json!({"width": 1, "height": 3_000, "fit": "fill", "format": "png"});
    let (_, _, made) = run("a.png", &encoded(&row, ImageFormat::Png), params).await.unwrap();
    assert_eq!((made.width(), made.height()), (1, 3_000));
    let middle = made.to_rgb8()[(0, 1_500)];
    assert!(middle[0].abs_diff(124) <= 2 && middle[1] == 9, "{middle:?}");
}

#[tokio::test]
async fn sixteen_bits_become_the_nearest_eight() {
    let deep = ::image::ImageBuffer::<Rgba<u16>, _>::from_fn(16, 16, |x, y| {
        let sample = u16::try_from((x * 16 + y) * 257).unwrap();
        Rgba([sample, sample.saturating_add(128), sample.saturating_add(129), u16::MAX])
    });
    let content = encoded(&deep.into(), ImageFormat::Png);
    let made = run("a.png", &content, json!({})).await.unwrap().2.to_rgba8();
    for (x, y, pixel) in made.enumerate_pixels() {
        let sample = u8::try_from(x * 16 + y).unwrap();
        assert_eq!(pixel.0, [sample, sample, sample.saturating_add(1), 255]);
    }
}
