//! Pictures that promise more than they are, or nothing true: bounded in memory, and no panic.

use super::*;

const MIB: u64 = 1024 * 1024;

/// A chunk of a PNG.
fn chunk(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    let checked = [&kind[..], content].concat();
    [&length[..], &checked, &crc32(&checked).to_be_bytes()].concat()
}

/// The stream of zlib of `blocks` times 64 KiB of zeros.
fn zeros(blocks: u32) -> Vec<u8> {
    let mut packed = flate2::Compress::new(flate2::Compression::best(), true);
    let mut content = Vec::with_capacity(1024 + 128 * blocks as usize);
    for _ in 0..blocks {
        packed.compress_vec(&[0; 64 * 1024], &mut content, flate2::FlushCompress::None).unwrap();
    }
    packed.compress_vec(&[], &mut content, flate2::FlushCompress::Finish).unwrap();
    content
}

/// A PNG of 400 by 300 pixels with more chunks before its pixels.
fn png_with(chunks: &[u8]) -> Vec<u8> {
    let mut content = encoded(&picture(400, 300, false), ImageFormat::Png);
    content.splice(33..33, chunks.iter().copied());
    content
}

/// What the task would do with a file that is in memory.
fn plan(content: &[u8], params: Value) -> Result<Plan, TaskError> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("in");
    std::fs::write(&file, content).unwrap();
    Plan::of(&file, &serde_json::from_value(params).unwrap())
}

#[tokio::test]
async fn a_profile_that_grows_is_left_out_with_a_word() {
    for (blocks, kept) in [(2, true), (16, true), (17, false), (400, false)] {
        let mut packed = b"icc\0\0".to_vec();
        packed.extend(zeros(blocks));
        let content = png_with(&chunk(b"iCCP", &packed));
        let (result, ..) = run("a.png", &content, json!({"width": 10})).await.unwrap();
        // Zeros are a profile of no kind.
        assert_eq!(result["notes"].as_array().unwrap().len(), 1, "{blocks}: {result}");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("in");
        std::fs::write(&file, &content).unwrap();
        let context = TaskContext::new(Arc::default(), CancellationToken::new(), folder.path().join("out"));
        let (_, profile) = read::head(&file).unwrap().pixels(&file, 1, &context).unwrap();
        let expected = if kept {
            read::ColourProfile::Kept(vec![0; blocks as usize * 64 * 1024])
        } else {
            read::ColourProfile::LeftOut
        };
        assert!(profile == expected, "{blocks} blocks");
    }
}

#[tokio::test]
async fn what_lies_beside_the_pixels_is_passed_over_or_refused() {
    let text = [b"XML:com.adobe.xmp\0\x01\0\0\0".to_vec(), zeros(400)].concat();
    let content = png_with(&chunk(b"iTXt", &text).repeat(3));
    assert_eq!(run("a.png", &content, json!({"width": 10})).await.unwrap().0["notes"], Value::Null);
    let long = png_with(&chunk(b"tEXt", &[b"k\0".to_vec(), vec![b'x'; 9 << 20]].concat()));
    assert_eq!(run("a.png", &long, json!({"width": 10})).await.unwrap().0["notes"], Value::Null);
    let exif = png_with(&chunk(b"eXIf", &vec![0; (1 << 20) + 1]));
    let fault = run("a.png", &exif, json!({})).await.unwrap_err();
    assert_eq!(
        (fault.kind, fault.message.as_ref()),
        ("too_large", "the picture has more EXIF data than the 1 MiB allowed")
    );
    let many = png_with(&chunk(b"tEXt", b"k\0x").repeat(100_001));
    assert_eq!(run("a.png", &many, json!({})).await.unwrap_err().kind, "too_large");
}

#[test]
fn memory_is_asked_for_by_bytes() {
    let needs = |content: &[u8], params: Value| u64::from(plan(content, params).unwrap().memory_mib()) * MIB;
    // Samples of 16 bits are made 8 row by row, unless they come interlaced.
    let side = 4_000;
    for (colour, depth, interlaced, bytes_min, bytes_max) in [
        (2, 8, 0, 48_000_000, 64_000_000),
        (2, 16, 0, 48_000_000, 64_000_000),
        (2, 16, 1, 96_000_000, 112_000_000),
        (6, 8, 0, 64_000_000, 80_000_000),
    ] {
        let mut content = promise(side);
        (content[24], content[25], content[28]) = (depth, colour, interlaced);
        let check = crc32(&content[12..29]);
        content[29..33].copy_from_slice(&check.to_be_bytes());
        let bytes = needs(&content, json!({"width": 100}));
        assert!((bytes_min..=bytes_max).contains(&bytes), "{colour} {depth} {interlaced}: {bytes}");
    }
    // What is written without loss takes many times its pixels.
    let fault = plan(&promise(9_000), json!({"format": "webp", "lossless": true})).unwrap_err();
    assert_eq!(fault.kind, "too_large");
    assert!(fault.message.ends_with("MiB of memory, more than the 1024 allowed"), "{fault}");
    // A row that becomes a column passes through no square.
    let mut row = promise(60_000);
    row[20..24].copy_from_slice(&1_u32.to_be_bytes());
    let check = crc32(&row[12..29]);
    row[29..33].copy_from_slice(&check.to_be_bytes());
    let column = json!({"width": 1, "height": 16_383, "fit": "fill"});
    assert!(needs(&row, column) < 16 * MIB);
}

#[test]
fn memory_of_a_jpeg_counts_what_its_decoder_holds() {
    let flat = |sampling: u8, progressive: bool| {
        let mut content = encoded(&picture(64, 64, false), ImageFormat::Jpeg);
        let at = content.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
        content[at + 5..at + 9].copy_from_slice(&[0x1f, 0x40, 0x1f, 0x40]);
        content[at + 11] = sampling;
        if progressive {
            content[at + 1] = 0xc2;
        }
        content
    };
    let needs = |content: &[u8], width: u32| {
        u64::from(plan(content, json!({"width": width})).unwrap().memory_mib()) * MIB
    };
    // 64 million pixels: in order, an eighth as wide; whole; with all coefficients, of all or of a quarter of the colours.
    assert!(needs(&flat(0x11, false), 100) < 16 * MIB);
    assert!((340_000_000..360_000_000).contains(&needs(&flat(0x11, false), 4_100)));
    assert!((384_000_000..400_000_000).contains(&needs(&flat(0x11, true), 100)));
    assert!((192_000_000..208_000_000).contains(&needs(&flat(0x22, true), 100)));
}

#[tokio::test]
async fn a_jpeg_of_endless_scans_is_refused() {
    let mut content = encoded(&picture(64, 64, false), ImageFormat::Jpeg);
    let scan = content.windows(2).rposition(|pair| pair == [0xff, 0xda]).unwrap();
    let (end, scan) = (content.len() - 2, content[scan..content.len() - 2].to_vec());
    content.splice(end..end, scan.repeat(100));
    let fault = run("a.jpg", &content, json!({})).await.unwrap_err();
    assert_eq!(
        (fault.kind, fault.message.as_ref()),
        ("too_large", "the picture has more scans than the 100 allowed")
    );
}

/// A WebP of these chunks.
fn webp_of(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let mut content = b"WEBP".to_vec();
    for (kind, bytes) in chunks {
        content.extend_from_slice(&kind[..]);
        content.extend_from_slice(&u32::try_from(bytes.len()).unwrap().to_le_bytes());
        content.extend_from_slice(bytes);
        content.resize(content.len() + bytes.len() % 2, 0);
    }
    [b"RIFF", &u32::try_from(content.len()).unwrap().to_le_bytes()[..], &content].concat()
}

#[tokio::test]
async fn a_webp_that_lies_about_its_size_is_damaged() {
    let real = encoded(&picture(640, 480, false), ImageFormat::WebP);
    let pixels = &real[20..];
    let extended = |flags: u8| [flags, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let still = webp_of(&[(b"VP8X", &extended(0)), (b"VP8L", pixels)]);
    let mut frame = vec![0; 16];
    frame.extend_from_slice(&real[12..]);
    let moving =
        webp_of(&[(b"VP8X", &extended(2)), (b"ANIM", &[0; 6]), (b"ANMF", &frame), (b"ANMF", &frame)]);
    for content in [still, moving] {
        assert_eq!(run("a.webp", &content, json!({})).await.unwrap_err().kind, "decode");
    }
    // A frame that is smaller than the canvas lies where it says.
    let mut frame = vec![0; 16];
    (frame[0], frame[3]) = (5, 10);
    (frame[6], frame[9]) = (19, 9);
    let small = encoded(&picture(20, 10, false), ImageFormat::WebP);
    frame.extend_from_slice(&small[12..]);
    let mut canvas = extended(2 | 0x10);
    (canvas[4], canvas[7]) = (49, 39);
    let content = webp_of(&[(b"VP8X", &canvas), (b"ANIM", &[0; 6]), (b"ANMF", &frame)]);
    let made = run("a.webp", &content, json!({"format": "png"})).await.unwrap().2.to_rgba8();
    assert_eq!(made.dimensions(), (50, 40));
    assert_eq!((made[(9, 25)].0, made[(11, 19)].0), ([0; 4], [0; 4]));
    assert_eq!((made[(11, 25)].0, made[(29, 29)].0), ([255, 0, 0, 255], [0, 0, 255, 255]));
}

#[test]
fn no_mutation_panics() {
    const ROUNDS: u32 = 5_000;
    let mut state = 7_u32;
    let mut draw = |below: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize % below
    };
    let plain = picture(40, 24, false);
    let clear = picture(40, 24, true);
    let valid = [
        encoded(&plain, ImageFormat::Jpeg),
        encoded(&plain.to_luma8().into(), ImageFormat::Jpeg),
        encoded(&plain, ImageFormat::Png),
        encoded(&clear.to_rgba16().into(), ImageFormat::Png),
        encoded(&clear, ImageFormat::WebP),
        include_bytes!("../../../../tests/pictures/junk-between-segments.jpg").to_vec(),
        include_bytes!("../../../../tests/pictures/progressive-cmyk.jpg").to_vec(),
        include_bytes!("../../../../tests/pictures/progressive.jpg").to_vec(),
        include_bytes!("../../../../tests/pictures/three-frames.png").to_vec(),
        include_bytes!("../../../../tests/pictures/three-frames.webp").to_vec(),
    ];
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("in");
    let context = TaskContext::new(Arc::default(), CancellationToken::new(), folder.path().join("out"));
    let params = ImageParams { width: Some(9), format: Some(Format::Jpeg), ..ImageParams::default() };
    let mut made = 0;
    for _ in 0..ROUNDS {
        let mut content = valid[draw(valid.len())].clone();
        for _ in 0..=draw(4) {
            let at = draw(content.len());
            match draw(4) {
                0 => content[at] = u8::try_from(draw(256)).unwrap(),
                1 => content[at] ^= 1 << draw(8),
                2 => content.truncate(at.max(16)),
                _ => drop(content.splice(at..at, [0xff; 3])),
            }
        }
        std::fs::write(&file, &content).unwrap();
        if let Ok(plan) = Plan::of(&file, &params) {
            assert!(plan.memory_mib() <= MEMORY_MIB);
            made += u32::from(picture::make(&file, &plan, &context).is_ok());
        }
    }
    assert!(made > ROUNDS / 20, "{made} of {ROUNDS} could still be read");
}
