"""A plugin that was written for a library that is no longer there."""

import a_library_that_is_not_installed

Broken = a_library_that_is_not_installed.Broken
