use aes_gcm::aead::AeadInPlace;
use aes_gcm::aead::consts::U12;
use aes_gcm::aes::{Aes128, Aes192, Aes256};
use aes_gcm::{Aes128Gcm, Aes256Gcm, AesGcm};
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::consts::U16;
use cbc::cipher::{BlockCipher, BlockDecryptMut, BlockSizeUser, KeyInit, KeyIvInit};
use crypto_secretbox::XSalsa20Poly1305;
use zeroize::Zeroizing;

/// Bytes that stand before what is encrypted, or behind it.
const BLOCK: usize = 16;
const GCM_NONCE: usize = 12;
const SECRETBOX_NONCE: usize = 24;
const TAG: usize = 16;

/// By what a value is encrypted with a key of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cipher {
    AesCbc,
    AesGcm,
    Secretbox,
}

impl Cipher {
    /// As it stands in the file and in the prefix of values.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::AesCbc => "aescbc",
            Self::AesGcm => "aesgcm",
            Self::Secretbox => "secretbox",
        }
    }

    /// How many bytes a key may have.
    pub(super) const fn key_bytes(self) -> &'static [usize] {
        match self {
            Self::AesCbc | Self::AesGcm => &[16, 24, 32],
            Self::Secretbox => &[32],
        }
    }

    /// Decrypts what stands behind the prefix; `place` is the key in etcd. `None` when it was not encrypted with this key, or
    /// not like this.
    pub(super) fn decrypt(
        self,
        key: &[u8],
        data: &[u8],
        place: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        match self {
            Self::AesCbc => aes_cbc(key, data),
            Self::AesGcm => aes_gcm(key, data, place),
            Self::Secretbox => secretbox(key, data),
        }
    }
}

/// The initialisation vector, then whole blocks with the padding of PKCS #7.
fn aes_cbc(key: &[u8], data: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (vector, data) = data.split_at_checked(BLOCK)?;
    let mut data = Zeroizing::new(data.to_vec());
    let length = match key.len() {
        16 => unchain::<Aes128>(key, vector, &mut data),
        24 => unchain::<Aes192>(key, vector, &mut data),
        _ => unchain::<Aes256>(key, vector, &mut data),
    }?;
    data.truncate(length);
    Some(data)
}

fn unchain<C>(key: &[u8], vector: &[u8], data: &mut [u8]) -> Option<usize>
where
    C: BlockCipher + BlockDecryptMut + KeyInit + BlockSizeUser<BlockSize = U16>,
{
    let cipher = cbc::Decryptor::<C>::new_from_slices(key, vector).ok()?;
    cipher.decrypt_padded_mut::<Pkcs7>(data).ok().map(<[u8]>::len)
}

/// The nonce, the encrypted value, and the tag, which is over the place as well: a value of another key of etcd is refused.
fn aes_gcm(key: &[u8], data: &[u8], place: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, data) = data.split_at_checked(GCM_NONCE)?;
    let (data, tag) = data.split_at_checked(data.len().checked_sub(TAG)?)?;
    match key.len() {
        16 => authentic::<Aes128Gcm>(key, nonce, place, data, tag),
        24 => authentic::<AesGcm<Aes192, U12>>(key, nonce, place, data, tag),
        _ => authentic::<Aes256Gcm>(key, nonce, place, data, tag),
    }
}

/// `crypto_secretbox` of NaCl: the nonce, the tag, and the encrypted value.
fn secretbox(key: &[u8], data: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, data) = data.split_at_checked(SECRETBOX_NONCE)?;
    let (tag, data) = data.split_at_checked(TAG)?;
    authentic::<XSalsa20Poly1305>(key, nonce, &[], data, tag)
}

/// The lengths of nonce and tag are those of the cipher: whoever calls has cut them off.
fn authentic<C: AeadInPlace + KeyInit>(
    key: &[u8],
    nonce: &[u8],
    place: &[u8],
    data: &[u8],
    tag: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let cipher = C::new_from_slice(key).ok()?;
    let mut data = Zeroizing::new(data.to_vec());
    let opened = cipher.decrypt_in_place_detached(nonce.into(), place, &mut data, tag.into());
    opened.ok().map(|()| data)
}
