//! What a derived schema lacks, or has too much of, to be one that users meet.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};

/// Formats that the API server knows among those that types give to numbers; it warns about each other one.
pub(super) const FORMATS: &[&str] = &["int32", "int64", "float", "double", "date-time"];

/// Fits the schema of a whole object (`spec`, `status`).
pub fn finish(schema: &mut JSONSchemaProps) {
    let properties = schema.properties.get_or_insert_default();
    if let Some(spec) = properties.get_mut("spec") {
        // `spec: {}`, `spec:` and no spec at all mean the same where no field of it is required.
        let is_needed = spec.required.as_ref().is_some_and(|fields| !fields.is_empty());
        spec.nullable = (!is_needed).then_some(true);
        schema.required = is_needed.then(|| vec!["spec".to_owned()]);
    }
    clean(schema);
}

/// Every level of it.
fn clean(schema: &mut JSONSchemaProps) {
    // Writing defaults into objects is not what a type's `Default` is for.
    schema.default = None;
    if schema.format.as_deref().is_some_and(|format| !FORMATS.contains(&format)) {
        schema.format = None;
    }
    if schema.enum_.is_some() {
        // The API server finds null in no list of values, not even in one that holds it; where a field may not be
        // null, it leaves a null out when the object is created.
        schema.nullable = None;
    }
    schema.properties.iter_mut().flat_map(|properties| properties.values_mut()).for_each(clean);
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(item)) => clean(item),
        Some(JSONSchemaPropsOrArray::Schemas(items)) => items.iter_mut().for_each(clean),
        None => {}
    }
    if let Some(JSONSchemaPropsOrBool::Schema(value)) = &mut schema.additional_properties {
        clean(value);
    }
}
