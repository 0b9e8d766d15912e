"""One step of SSD on the sparse support: backward pass, distillation, teacher, dampening."""
