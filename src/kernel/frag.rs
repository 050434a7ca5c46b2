// SPDX-License-Identifier: GPL-2.0

//! Page fragments: memory that packets are written to once and then carry along.
//!
//! C header: `include/linux/mm_types_task.h` (`struct page_frag`), `net/core/sock.c`
//! (`skb_page_frag_refill()`).

use super::bindings;
use core::{mem::ManuallyDrop, ops::Range, ptr, ptr::NonNull, slice};

/// A page, or several in a row, that is given away from front to back.
///
/// # Invariants
///
/// `page` is null, or a page of `size` bytes of which one reference belongs to this value. Nobody else
/// has what is in it from `offset` on.
pub(crate) struct PageFrag(bindings::page_frag);

// SAFETY: The page may be written from any thread that has the value.
unsafe impl Send for PageFrag {}

/// A part of a page that is not written any more.
///
/// # Invariants
///
/// A reference to `page` belongs to this value, and `len` bytes from `offset` on were written and are
/// not written again while there is a reference.
pub(crate) struct Frag {
    page: NonNull<bindings::page>,
    offset: u32,
    len: u32,
}

impl PageFrag {
    /// The space begins at a multiple of this.
    pub(crate) const ALIGN: usize = 16;

    /// No page yet.
    pub(crate) fn new() -> Self {
        // INVARIANT: No page.
        Self(bindings::page_frag {
            page: ptr::null_mut(),
            offset: 0,
            size: 0,
        })
    }

    fn forget_page(&mut self) {
        // SAFETY: By the type invariant a reference is ours, if there is a page.
        unsafe {
            if !self.0.page.is_null() {
                bindings::wg_put_page(self.0.page);
            }
        }
        // INVARIANT: No page.
        self.0.page = ptr::null_mut();
        self.0.offset = 0;
        self.0.size = 0;
    }

    /// Bytes of the space that there is without another page.
    #[inline]
    pub(crate) fn left(&self) -> usize {
        self.0.size.saturating_sub(self.0.offset) as usize
    }

    /// Space for `len` bytes and perhaps more, in which anything may be. What was written to former
    /// space and not taken is lost where that was too small. `None`: there is no memory.
    #[inline]
    pub(crate) fn space(&mut self, len: usize) -> Option<&mut [u8]> {
        let len = u32::try_from(len).ok()?;
        if self.0.size.checked_sub(self.0.offset)? < len {
            self.refill(len)?;
        }
        // SAFETY: By the type invariant these bytes are in the page, and nobody else has them. It is
        // mapped, as all memory is on 64-bit machines, and bytes have no invalid values.
        Some(unsafe {
            let start = bindings::wg_page_address(self.0.page)
                .cast::<u8>()
                .add(self.0.offset as usize);
            slice::from_raw_parts_mut(start, self.0.size.wrapping_sub(self.0.offset) as usize)
        })
    }

    #[cold]
    fn refill(&mut self, len: u32) -> Option<()> {
        // SAFETY: The value is a page fragment with a reference of its own. The function keeps the page
        // if nobody else has a reference any more, or puts it and takes another, or none.
        let refilled = unsafe {
            bindings::skb_page_frag_refill(len, &mut self.0, bindings::GFP_ATOMIC_NOWARN_FLAGS)
        };
        // INVARIANT: A page of which all is free, or none.
        if !refilled {
            self.0.size = 0;
            return None;
        }
        // It promises no more than one page, and keeps a small one while nobody else has it.
        if self.0.size.checked_sub(self.0.offset)? < len {
            self.forget_page();
            return None;
        }
        Some(())
    }

    /// Gives away a part of the [`space`](Self::space), which begins at its front after that.
    #[inline]
    pub(crate) fn take(&mut self, part: Range<usize>) -> Option<Frag> {
        let page = NonNull::new(self.0.page)?;
        let start = self.0.offset.checked_add(u32::try_from(part.start).ok()?)?;
        let end = self.0.offset.checked_add(u32::try_from(part.end).ok()?)?;
        if start >= end || end > self.0.size {
            return None;
        }
        // SAFETY: A page of ours.
        unsafe { bindings::wg_get_page(page.as_ptr()) };
        // INVARIANT: What is given away is before the new offset.
        self.0.offset = end.next_multiple_of(Self::ALIGN as u32).min(self.0.size);
        Some(Frag {
            page,
            offset: start,
            len: end.wrapping_sub(start),
        })
    }
}

impl Drop for PageFrag {
    fn drop(&mut self) {
        self.forget_page();
    }
}

impl Frag {
    /// Page, offset and length. The reference passes to the caller.
    #[inline]
    pub(super) fn into_raw(self) -> (*mut bindings::page, u32, u32) {
        let this = ManuallyDrop::new(self);
        (this.page.as_ptr(), this.offset, this.len)
    }
}

impl Drop for Frag {
    fn drop(&mut self) {
        // SAFETY: Ours by the type invariant.
        unsafe { bindings::wg_put_page(self.page.as_ptr()) };
    }
}
