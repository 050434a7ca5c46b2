// SPDX-License-Identifier: GPL-2.0
//! Any bytes as a datagram: what is told apart is taken apart, by one parser
//! only, and put together again is what it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wireguard_protocol::protocol::message::{
    classify, Authenticated, CookieReply, DataHeader, Initiation, MessageType, Response,
    DATA_HEADER_LEN, MACS_LEN,
};

fuzz_target!(|data: &[u8]| {
    let parsed = [
        Initiation::parse(data).map(|message| message.to_bytes().to_vec()),
        Response::parse(data).map(|message| message.to_bytes().to_vec()),
        CookieReply::parse(data).map(|message| message.to_bytes().to_vec()),
        DataHeader::parse(data).map(|header| header.to_bytes().to_vec()),
    ];
    let kind = data
        .first_chunk()
        .and_then(|first| classify(*first, data.len()));
    let Some((kind, header_len)) = kind else {
        // The header of a data message may be looked at without its payload.
        assert!(parsed[..3].iter().all(Option::is_none));
        return;
    };
    assert!(header_len <= data.len());
    let which = kind as usize - MessageType::Initiation as usize;
    for (index, again) in parsed.iter().enumerate() {
        assert_eq!(again.is_some(), index == which);
    }
    let again = parsed[which].as_ref().unwrap();
    match kind {
        MessageType::Initiation | MessageType::Response => {
            let parts = Authenticated::split(data).unwrap();
            assert_eq!(parts.body, &again[..data.len() - MACS_LEN]);
            assert_eq!([parts.with_mac1, parts.mac2].concat(), data);
            assert_eq!([parts.body, parts.mac1].concat(), parts.with_mac1);
        }
        MessageType::CookieReply => assert_eq!(again, data),
        MessageType::Data => assert_eq!(again, &data[..DATA_HEADER_LEN]),
    }
});
