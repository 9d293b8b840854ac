//! RFC 2131, section by section.

mod section_4_3_2;
