//! Which mutant is on: none, or the one that `QUORATE_MUTANT` names. With one, the first test that fails ends the program: it was noticed.
use std::sync::OnceLock;

static CHOSEN: OnceLock<u32> = OnceLock::new();

pub fn on(id: u32) -> bool {
    *CHOSEN.get_or_init(chosen) == id
}

fn chosen() -> u32 {
    let Some(id) = std::env::var("QUORATE_MUTANT").ok().and_then(|text| text.parse().ok()) else {
        return u32::MAX;
    };
    std::panic::set_hook(Box::new(|_| std::process::exit(101)));
    id
}

macro_rules! comparisons {
    ($($name:ident $right:tt $wrong:tt $bound:ident),*) => {$(
        pub fn $name<A: $bound<B> + ?Sized, B: ?Sized>(id: u32, a: &A, b: &B) -> bool {
            if on(id) { a $wrong b } else { a $right b }
        }
    )*};
}

comparisons!(
    lt < <= PartialOrd, le <= < PartialOrd, gt > >= PartialOrd, ge >= > PartialOrd, eq == != PartialEq, ne != == PartialEq
);

pub fn min<T: Ord>(id: u32, a: T, b: T) -> T {
    if on(id) { a.max(b) } else { a.min(b) }
}

pub fn max<T: Ord>(id: u32, a: T, b: T) -> T {
    if on(id) { a.min(b) } else { a.max(b) }
}

/// What `!` can stand before.
pub trait Flip {
    type Value: std::ops::Not<Output = Self::Value>;
    fn value(self) -> Self::Value;
}

macro_rules! flips {
    ($($kind:ty),*) => {$(
        impl Flip for $kind {
            type Value = $kind;
            fn value(self) -> $kind {
                self
            }
        }

        impl Flip for &$kind {
            type Value = $kind;
            fn value(self) -> $kind {
                *self
            }
        }
    )*};
}

flips!(bool, u8, u32, u64, usize);

pub fn not<T: Flip>(id: u32, a: T) -> T::Value {
    if on(id) { a.value() } else { !a.value() }
}

pub fn turn(id: u32, a: bool) -> bool {
    on(id) != a
}
