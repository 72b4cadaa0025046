"""Mail templates: versioned, rendered in a sandbox. A leaf: knows neither the queue nor campaigns."""
