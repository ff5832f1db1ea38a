"""Forms made from pydantic models, and widgets that edit one value."""
