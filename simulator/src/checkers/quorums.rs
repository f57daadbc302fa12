//! How many votes make a certificate, written down and not computed.
use quorate_primitives::Hash;
use quorate_primitives::certificate::Certificate;
use quorate_primitives::validators::ValidatorSet;

use crate::signatures::Memo;

/// Votes that make a certificate, by the number of validators: `n − f` with `f = ⌊(n − 1) / 3⌋`.
#[rustfmt::skip]
const QUORUMS: [usize; 129] = [
    0, 1, 2, 3, 3, 4, 5, 5, 6, 7, 7, 8, 9, 9, 10, 11, 11, 12, 13, 13, 14, 15, 15, 16, 17, 17, 18, 19, 19,
    20, 21, 21, 22, 23, 23, 24, 25, 25, 26, 27, 27, 28, 29, 29, 30, 31, 31, 32, 33, 33, 34, 35, 35, 36, 37,
    37, 38, 39, 39, 40, 41, 41, 42, 43, 43, 44, 45, 45, 46, 47, 47, 48, 49, 49, 50, 51, 51, 52, 53, 53, 54,
    55, 55, 56, 57, 57, 58, 59, 59, 60, 61, 61, 62, 63, 63, 64, 65, 65, 66, 67, 67, 68, 69, 69, 70, 71, 71,
    72, 73, 73, 74, 75, 75, 76, 77, 77, 78, 79, 79, 80, 81, 81, 82, 83, 83, 84, 85, 85, 86,
];

/// Votes that make a certificate. Range: 1 to 128 validators; nothing suffices beyond.
#[must_use]
pub fn quorum(validators: usize) -> usize {
    QUORUMS.get(validators).copied().unwrap_or(usize::MAX)
}

/// Whether a certificate proves its claim.
pub fn is_valid(certificate: &Certificate, context: &Hash, set: &ValidatorSet, memo: &mut Memo) -> bool {
    let signers: Vec<u8> = certificate.signers.iter().collect();
    if signers.len() < quorum(set.len()) || signers.len() != certificate.signatures.len() {
        return false;
    }
    let mut votes = signers.iter().zip(certificate.signatures.iter());
    votes.all(|(signer, signature)| {
        let vote = quorate_primitives::certificate::Vote {
            claim: certificate.claim,
            signer: *signer,
            signature: *signature,
        };
        vote.signature_check(context, set).is_some_and(|check| memo.is_valid(&check))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_quorums_share_more_validators_than_may_be_faulty() {
        for (validators, quorum) in QUORUMS.iter().enumerate().skip(1) {
            let faulty = validators - quorum;
            assert!(3 * faulty < validators, "{validators}");
            assert!(2 * quorum - validators > faulty, "{validators}");
            assert!(3 * (faulty + 1) >= validators, "{validators}");
        }
    }
}
