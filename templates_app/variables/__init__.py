"""Which values a template asks for, read from its syntax tree.

A variable is a dotted path such as `recipient.address.city`; `products[].name` is a value of each item of a list that
is looped over. It is optional when every place that uses it has an answer for its absence: `|default`, `x or y`,
`is defined`, or a surrounding `{% if x %}`. It is conditional when it is needed only where not every mail gets: in
a branch, in a loop. Names made by the template itself (loops, `set`, `with`) are no variables; where such a name is
only another one for a path, its uses are uses of that path.
"""

from templates_app.variables.reader import variables_of
from templates_app.variables.variable import Variable, merged, sample_context

__all__ = ["Variable", "merged", "sample_context", "variables_of"]
