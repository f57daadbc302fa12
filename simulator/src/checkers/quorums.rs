//! How many votes make a certificate, written down and not computed.
use quorate_primitives::Hash;
use quorate_primitives::certificate::Certificate;
use quorate_primitives::validators::ValidatorSet;

use crate::signatures::Memo;

/// Votes that make a certificate, by the number of validators: `n − f` with `f = ⌊(n − 1) / 3⌋`.
const QUORUMS: [usize; 22] = [0, 1, 2, 3, 3, 4, 5, 5, 6, 7, 7, 8, 9, 9, 10, 11, 11, 12, 13, 13, 14, 15];

/// Votes that make a certificate. Range: 1 to 21 validators; nothing suffices beyond.
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
