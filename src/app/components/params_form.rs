//! A form from a task's JSON Schema.
//!
//! A field is named `param.NAME`, and an empty one is a parameter not given.

use leptos::prelude::*;
use serde_json::Value;

use crate::client::words;
use crate::protocol::Json;

/// What a parameter takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// Whole numbers.
    Integer,
    /// Numbers.
    Number,
    /// Yes or no.
    Boolean,
    /// One of these texts.
    Choice(Vec<String>),
    /// Text.
    Text,
    /// What the columns of a CSV must hold: a grid beside the rows, and JSON for what that does not say.
    Columns,
    /// Any JSON.
    Json,
}

/// One parameter as a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamField {
    /// Name of the parameter.
    pub name: String,
    /// Title for people.
    pub title: String,
    /// One sentence, may be empty.
    pub description: String,
    /// What it takes.
    pub kind: FieldKind,
    /// Least number.
    pub minimum: Option<String>,
    /// Greatest number.
    pub maximum: Option<String>,
    /// What it is when not given, as text; empty without one.
    pub default: String,
    /// True where it must be given.
    pub required: bool,
}

impl ParamField {
    /// The value that `text` stands for; none where it is empty.
    ///
    /// # Errors
    /// What was expected, in a sentence.
    pub fn value(&self, text: &str) -> Result<Option<Value>, String> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(None);
        }
        let parsed = match self.kind {
            FieldKind::Text | FieldKind::Choice(_) => return Ok(Some(text.into())),
            FieldKind::Integer => text.parse::<i64>().ok().map(Value::from),
            FieldKind::Number => text.parse::<f64>().ok().map(Value::from),
            FieldKind::Boolean => text.parse::<bool>().ok().map(Value::from),
            FieldKind::Columns | FieldKind::Json => serde_json::from_str(text).ok(),
        };
        parsed.map(Some).ok_or_else(|| format!("{}: {text:?} is not what it takes.", self.title))
    }
}

/// The fields of `schema`, in its order.
#[must_use]
pub fn param_fields(schema: &Json) -> Vec<ParamField> {
    let schema = schema.to_value();
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let Some(properties) = schema["properties"].as_object() else { return Vec::new() };
    properties
        .iter()
        .map(|(name, property)| field(name, property, &schema, required.contains(&name.as_str())))
        .collect()
}

/// Puts the values of `params` where the defaults stand.
pub fn fill(fields: &mut [ParamField], params: &Json) {
    let params = params.to_value();
    for field in fields {
        match &params[&field.name] {
            Value::Null => {}
            value => field.default = default(value, &field.kind),
        }
    }
}

fn field(name: &str, property: &Value, schema: &Value, required: bool) -> ParamField {
    let target = referred(property, schema);
    let text = |key: &str| property[key].as_str().or_else(|| target[key].as_str()).map(str::to_owned);
    let number = |key: &str| target[key].as_number().map(ToString::to_string);
    let kind = kind(target);
    ParamField {
        name: name.to_owned(),
        title: text("title").filter(|_| property["title"].is_string()).unwrap_or_else(|| titled(name)),
        description: text("description").unwrap_or_default(),
        default: default(&property["default"], &kind),
        kind,
        minimum: number("minimum"),
        maximum: number("maximum"),
        required: required && property["default"].is_null(),
    }
}

/// What a field holds at first: a text as it is, but where the field takes JSON, which a text is only in its quotes.
fn default(value: &Value, kind: &FieldKind) -> String {
    match (value, kind) {
        (Value::Null, _) => String::new(),
        (Value::String(text), FieldKind::Text | FieldKind::Choice(_)) => text.clone(),
        (other, _) => other.to_string(),
    }
}

/// The schema that `property` refers to (a local `$ref`, or the part of `anyOf` that is not null), or itself.
fn referred<'a>(property: &'a Value, schema: &'a Value) -> &'a Value {
    let part = property["anyOf"]
        .as_array()
        .and_then(|parts| parts.iter().find(|part| part["type"] != "null"))
        .unwrap_or(property);
    part["$ref"].as_str().and_then(|path| schema.pointer(path.strip_prefix('#')?)).unwrap_or(part)
}

fn kind(target: &Value) -> FieldKind {
    if target["format"] == "csv-columns" {
        return FieldKind::Columns;
    }
    if let Some(choices) = target["enum"].as_array() {
        return FieldKind::Choice(choices.iter().filter_map(Value::as_str).map(str::to_owned).collect());
    }
    if let Some(choices) = target["oneOf"].as_array() {
        return FieldKind::Choice(
            choices.iter().filter_map(|one| one["const"].as_str()).map(str::to_owned).collect(),
        );
    }
    let name = target["type"]
        .as_str()
        .or_else(|| target["type"].as_array()?.iter().filter_map(Value::as_str).find(|name| *name != "null"));
    match name {
        Some("integer") => FieldKind::Integer,
        Some("number") => FieldKind::Number,
        Some("boolean") => FieldKind::Boolean,
        Some("string") => FieldKind::Text,
        _ => FieldKind::Json,
    }
}

/// `duration_ms` as `Duration ms`.
fn titled(name: &str) -> String {
    let spaced = name.replace(['_', '-'], " ");
    let mut letters = spaced.chars();
    letters
        .next()
        .map(|first| std::iter::once(first.to_ascii_uppercase()).chain(letters).collect())
        .unwrap_or_default()
}

/// The fields as a form's part.
#[component]
pub fn ParamsForm(
    /// The fields.
    fields: Vec<ParamField>,
) -> impl IntoView {
    if fields.is_empty() {
        return view! { <p class="hint">"This task takes no parameters."</p> }.into_any();
    }
    let rows = fields.into_iter().map(|field| match field.kind {
        FieldKind::Columns => columns(&field),
        FieldKind::Boolean if !field.default.is_empty() => check_box(&field),
        _ => labelled(&field),
    });
    view! { <div class="fields params">{rows.collect::<Vec<_>>()}</div> }.into_any()
}

/// A field with its name above it, and what it means beside it.
fn labelled(field: &ParamField) -> AnyView {
    let name = format!("param.{}", field.name);
    view! {
        <div class="field">
            <label for=name.clone()>{words::shown(&field.title)}</label>
            {control(field, name.clone())}
            {hint(field, &name)}
        </div>
    }
    .into_any()
}

fn hint(field: &ParamField, name: &str) -> Option<AnyView> {
    let words = words::shown(&field.description);
    (!words.is_empty())
        .then(|| view! { <span class="hint" id=format!("{name}-hint")>{words}</span> }.into_any())
}

fn described(field: &ParamField, name: &str) -> Option<String> {
    (!field.description.is_empty()).then(|| format!("{name}-hint"))
}

/// Yes or no, where it is one of them when nothing is said.
fn check_box(field: &ParamField) -> AnyView {
    let name = format!("param.{}", field.name);
    // A box that is not checked posts nothing: what stands before it counts then.
    view! {
        <div class="field">
            <span class="field-check">
                <input type="hidden" name=name.clone() value="false" />
                <input type="checkbox" id=name.clone() name=name.clone() value="true" checked=field.default == "true" aria-describedby=described(field, &name) />
                <label for=name.clone()>{words::shown(&field.title)}</label>
            </span>
            {hint(field, &name)}
        </div>
    }
    .into_any()
}

/// What columns must hold beyond what a grid beside the rows says.
fn columns(field: &ParamField) -> AnyView {
    let name = format!("param.{}", field.name);
    view! {
        <details class="options field-wide">
            <summary>{format!("{} as JSON", words::shown(&field.title))}</summary>
            <div class="field">
                <label for=name.clone()>"Rules that the grid does not have"</label>
                {json_area(field, &name)}
                {hint(field, &name)}
            </div>
        </details>
    }
    .into_any()
}

/// Its text is escaped here: the content of a text area is written as it is.
fn json_area(field: &ParamField, name: &str) -> AnyView {
    let (id, described) = (name.to_owned(), described(field, name));
    view! {
        <textarea id=id.clone() name=id rows="4" spellcheck="false" required=field.required aria-describedby=described inner_html=words::escaped(&field.default)></textarea>
    }
    .into_any()
}

fn control(field: &ParamField, name: String) -> AnyView {
    let (id, required, default) = (name.clone(), field.required, field.default.clone());
    let described = described(field, &name);
    let options = |choices: Vec<String>| {
        let free = default.is_empty().then(|| view! { <option value="">"—"</option> });
        let choices: Vec<_> = choices
            .into_iter()
            .map(|choice| {
                let chosen = choice == default;
                view! { <option value=choice.clone() selected=chosen>{words::shown(&choice)}</option> }
            })
            .collect();
        (free, choices)
    };
    match &field.kind {
        FieldKind::Integer | FieldKind::Number => {
            let step = if field.kind == FieldKind::Integer { "1" } else { "any" };
            view! {
                <input type="number" id=id name=name step=step min=field.minimum.clone() max=field.maximum.clone()
                    value=default required=required aria-describedby=described />
            }
            .into_any()
        }
        // Neither is what it is when nothing is said.
        FieldKind::Boolean => view! {
            <select id=id name=name required=required aria-describedby=described>
                <option value="">"—"</option>
                <option value="true">"yes"</option>
                <option value="false">"no"</option>
            </select>
        }
        .into_any(),
        FieldKind::Choice(choices) => {
            let (free, choices) = options(choices.clone());
            view! { <select id=id name=name required=required aria-describedby=described>{free}{choices}</select> }
                .into_any()
        }
        FieldKind::Text => view! {
            <input type="text" id=id name=name value=default required=required aria-describedby=described />
        }
        .into_any(),
        FieldKind::Columns | FieldKind::Json => json_area(field, &id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_becomes_fields() {
        let schema = Json::parse(
            r##"{"type":"object","required":["width"],"properties":{
                "fit":{"$ref":"#/$defs/Fit","default":"inside"},
                "quality":{"type":["integer","null"],"minimum":1,"maximum":100},
                "rules":{"type":"object"},
                "width":{"type":"integer","title":"Width","minimum":16}},
                "$defs":{"Fit":{"enum":["inside","cover"]}}}"##,
        )
        .unwrap();
        let fields = param_fields(&schema);
        assert_eq!(fields[0].kind, FieldKind::Choice(vec!["inside".into(), "cover".into()]));
        assert_eq!(fields[0].default, "inside");
        assert_eq!((fields[1].kind.clone(), fields[1].maximum.as_deref()), (FieldKind::Integer, Some("100")));
        assert_eq!(fields[2].kind, FieldKind::Json);
        assert!(fields[3].required && !fields[1].required);
        assert_eq!(fields[3].value("20"), Ok(Some(20.into())));
        assert_eq!(fields[3].value(" "), Ok(None));
        assert!(fields[3].value("wide").is_err());
        assert_eq!(fields[1].title, "Quality");
    }

    #[test]
    fn a_default_is_what_the_field_takes() {
        let schema = Json::parse(
            r#"{"properties":{
                "any":{"default":"\n\u0000"},"object":{"type":"object","default":{"a":"\n"}},
                "text":{"type":"string","default":"\n"},"number":{"type":"integer","default":3}}}"#,
        )
        .unwrap();
        let fields = param_fields(&schema);
        let defaults: Vec<&str> = fields.iter().map(|field| field.default.as_str()).collect();
        assert_eq!(defaults, [r#""\n\u0000""#, r#"{"a":"\n"}"#, "\n", "3"]);
        for field in &fields {
            assert!(field.value(&field.default).is_ok(), "{field:?}");
        }
    }

    #[test]
    fn json_in_a_text_area_is_text() {
        let schema = r#"{"properties":{"rules":{"type":"object","default":{"a":"</textarea><b>&amp;"}},
            "spin":{"type":"boolean","default":true},"turn":{"type":"boolean"}}}"#;
        let fields = param_fields(&Json::parse(schema).unwrap());
        let html = Owner::new().with(|| ParamsForm(ParamsFormProps { fields }).into_view().to_html());
        assert!(html.contains(r#"{"a":"&lt;/textarea&gt;&lt;b&gt;&amp;amp;"}</textarea>"#), "{html}");
        assert_eq!(html.matches("</textarea>").count(), 1, "{html}");
        let hidden = html.find(r#"type="hidden" name="param.spin" value="false""#);
        let checked = html.find(r#"type="checkbox" id="param.spin""#);
        assert!(hidden.is_some() && hidden < checked, "{html}");
        assert!(html.contains(r#"<select id="param.turn""#), "no is not what nothing is: {html}");
    }
}
