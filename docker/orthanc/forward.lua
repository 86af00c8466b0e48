-- Every original CT series of which no more comes goes to Thoracle; what Thoracle sends does not.
function OnStableSeries(id, tags, metadata)
  if tags['Modality'] == 'CT' and metadata['RemoteAET'] ~= 'THORACLE' then
    RestApiPost('/modalities/THORACLE/store', '{"Resources":["' .. id .. '"],"Asynchronous":true}', false)
  end
end
