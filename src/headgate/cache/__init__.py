"""Whether it was answered before: answers that are kept, and requests that wait for the same one."""
