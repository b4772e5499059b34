//! How usual a pair of letters is in names that people choose.

/// Pairs that stand often in English words and names, the most frequent first. The list and its order were made for this
/// plugin from common knowledge of English; a pair that is not in it is rare.
const PAIRS: &str = "\
th he in er an re on at en nd st es or te ti is it ar al ed nt to ng se ha as ou le ve ro ra hi ne me de co ta ec si ll \
so na li la el ma di ic rt ns om ch ea ri io et ce us lo ur sh pe un ee id no ac be em ho pr ge tr wa po il ca ss we mo \
pa pl ol ot ad ai ap am ag ab av ay ba bi bl bo br bu ck ci cl cr ct cu da do du dr ds ef ei ep ev ew ex ey fa fe fi fl \
fo fr ft fu ga gh gi gl go gr gu hu ia ib ie if ig im ip ir iv iz ja jo ju ka ke ki ko ks ld lf lt ly lu mb mi mp mu my \
nc nk nn nu ob oc od of og oi oo op os ov ow oy ph pi po pp ps pt pu qu rc rd rg rk rl rm rn rs ru ry sa sc sk sl sm sn \
sp su sw sy ta tc ts tt tu tw ty ub uc ud ue ug ui ul um up ut va vi vo wh wi wo wn xp ye yo ys ze zo ub eb we ws az zu";

/// 0 for a pair that is rare, 1 for one of the most frequent.
pub(crate) fn usual(first: u8, second: u8) -> f64 {
    f64::from(TABLE[at(first)][at(second)]) / 255.0
}

fn at(letter: u8) -> usize {
    usize::from(letter.wrapping_sub(b'a').min(26))
}

static TABLE: [[u8; 27]; 27] = table();

const fn table() -> [[u8; 27]; 27] {
    let mut table = [[0; 27]; 27];
    let pairs = PAIRS.as_bytes();
    let mut place = 0;
    while place + 1 < pairs.len() {
        let (first, second) = (
            (pairs[place] - b'a') as usize,
            (pairs[place + 1] - b'a') as usize,
        );
        // From 255 for the first to 128 for the last.
        let weight = 255 - (place * 127 / pairs.len()) as u8;
        if table[first][second] < weight {
            table[first][second] = weight;
        }
        place += 3;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs() {
        assert!(usual(b't', b'h') > usual(b'z', b'o'));
        assert_eq!(usual(b'x', b'q'), 0.0);
        assert_eq!(usual(b'1', b'-'), 0.0);
    }
}
